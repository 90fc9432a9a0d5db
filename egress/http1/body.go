package http1

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"sync"
)

// copySize is how much of a body is held at one time.
const copySize = 16 << 10

var buffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// CopyBody passes one body on, byte by byte as it comes, and reports how many
// bytes of content it had. A chunked body is checked and written anew, without
// extensions and trailers. An error leaves both streams in an unknown state.
func CopyBody(w io.Writer, r *bufio.Reader, f Framing) (int64, error) {
	switch {
	case f.Chunked:
		return copyChunked(w, r)
	case f.UntilClose:
		n, err := copyPlain(w, r, 1<<62)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil
		}
		return n, err
	default:
		return copyPlain(w, r, f.Length)
	}
}

// copyPlain passes n bytes on; io.ErrUnexpectedEOF if there are fewer.
func copyPlain(w io.Writer, r io.Reader, n int64) (done int64, err error) {
	buf := buffers.Get().(*[copySize]byte)
	defer buffers.Put(buf)
	for done < n {
		m, rerr := r.Read(buf[:min(int64(copySize), n-done)])
		if m > 0 {
			if _, err := w.Write(buf[:m]); err != nil {
				return done, err
			}
			done += int64(m)
		}
		if errors.Is(rerr, io.EOF) && done < n {
			return done, io.ErrUnexpectedEOF
		}
		if rerr != nil && done < n {
			return done, rerr
		}
	}
	return done, nil
}

// copyChunked passes a chunked body on (RFC 9112, 7.1).
func copyChunked(w io.Writer, r *bufio.Reader) (total int64, err error) {
	out := bufio.NewWriterSize(w, copySize)
	for {
		size, err := readChunkSize(r)
		if err != nil {
			return total, unexpected(err)
		}
		if size == 0 {
			break
		}
		n, err := copyChunk(out, r, size)
		total += n
		if err != nil {
			return total, err
		}
	}
	if err := skipTrailers(r); err != nil {
		return total, unexpected(err)
	}
	if _, err := out.WriteString("0\r\n\r\n"); err != nil {
		return total, err
	}
	return total, out.Flush()
}

// copyChunk passes the data of one chunk on, in chunks of what is there, so
// that nothing waits for the rest.
func copyChunk(out *bufio.Writer, r *bufio.Reader, size int64) (done int64, err error) {
	for done < size {
		if r.Buffered() == 0 {
			if _, err := r.Peek(1); err != nil {
				return done, unexpected(err)
			}
		}
		piece, err := r.Peek(int(min(int64(r.Buffered()), size-done)))
		if err != nil {
			return done, unexpected(err)
		}
		var head [20]byte
		out.Write(append(strconv.AppendInt(head[:0], int64(len(piece)), 16), '\r', '\n'))
		out.Write(piece)
		if _, err := out.WriteString("\r\n"); err != nil {
			return done, err
		}
		done += int64(len(piece))
		if _, err := r.Discard(len(piece)); err != nil {
			return done, err
		}
		if r.Buffered() <= 2 { // all that is left is this chunk's CRLF, if anything
			if err := out.Flush(); err != nil {
				return done, err
			}
		}
	}
	var end [2]byte
	if _, err := io.ReadFull(r, end[:]); err != nil {
		return done, unexpected(err)
	}
	if end != [2]byte{'\r', '\n'} {
		return done, malformed("a chunk is longer than its size")
	}
	return done, nil
}

// readChunkSize reads a chunk-size line; an extension is passed over.
func readChunkSize(r *bufio.Reader) (int64, error) {
	line, err := readLine(r, 256)
	if err != nil {
		return 0, err
	}
	var n int64
	digits := 0
	for ; digits < len(line); digits++ {
		v, ok := hexDigit(line[digits])
		if !ok {
			break
		}
		if digits >= 15 {
			return 0, malformed("a chunk size of more than 15 digits")
		}
		n = n<<4 | v
	}
	if digits == 0 || digits < len(line) && line[digits] != ';' {
		return 0, malformed("a chunk size that is no number")
	}
	return n, nil
}

func hexDigit(c byte) (int64, bool) {
	switch {
	case '0' <= c && c <= '9':
		return int64(c - '0'), true
	case 'a' <= c && c <= 'f':
		return int64(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return int64(c-'A') + 10, true
	}
	return 0, false
}

// skipTrailers reads the trailer section and drops it: nobody here may rely on
// a field that was not seen when the message was decided about.
func skipTrailers(r *bufio.Reader) error {
	left, n := MaxHead, 0
	for {
		line, err := readLine(r, left)
		if err != nil || line == "" {
			return err
		}
		if n++; n > MaxFields {
			return malformed("more than %d trailers", MaxFields)
		}
		if _, err := parseFields([]string{line}); err != nil {
			return err
		}
		left -= len(line) + 2
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
