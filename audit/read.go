package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A BadRecord says which line of a log breaks the chain, and how.
type BadRecord struct {
	Line   int    // from 1
	Offset int64  // of the line's first byte
	Why    string // one clause
}

func (e *BadRecord) Error() string {
	return fmt.Sprintf("audit record at line %d (byte %d): %s", e.Line, e.Offset, e.Why)
}

// errTooLong says that a line passed MaxLine.
var errTooLong = fmt.Errorf("line has more than %d bytes", MaxLine)

// Reader reads a log record by record, in the order of the file.
type Reader struct {
	r      *bufio.Reader
	line   int
	offset int64 // of the next line
}

// NewReader returns a Reader of the log r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, MaxLine)}
}

// Offset returns how many bytes have been read, in whole lines and in the last,
// unfinished one.
func (r *Reader) Offset() int64 { return r.offset }

// Next returns the next record and its line, newline included, which is valid
// until the next call. It returns io.EOF at the end, io.ErrUnexpectedEOF with
// the bytes there are when the last line has no newline (yet), and a *BadRecord
// for a line that is no record; the caller may go on after that.
func (r *Reader) Next() (*Event, []byte, error) {
	line, err := r.r.ReadSlice('\n')
	start := r.offset
	r.offset += int64(len(line))
	if len(line) > 0 {
		r.line++
	}
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		if err := r.skipLine(); err != nil {
			return nil, nil, err
		}
		return nil, nil, &BadRecord{r.line, start, errTooLong.Error()}
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, line, io.ErrUnexpectedEOF
	case err != nil:
		return nil, nil, err
	}
	e, err := parseLine(line)
	if err != nil {
		return nil, line, &BadRecord{r.line, start, err.Error()}
	}
	return e, line, nil
}

// skipLine moves to the end of a line that does not fit the buffer.
func (r *Reader) skipLine() error {
	for {
		line, err := r.r.ReadSlice('\n')
		r.offset += int64(len(line))
		if err == nil || err == io.EOF {
			return nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// parseLine checks that line is one record whose hash is that of its bytes.
func parseLine(line []byte) (*Event, error) {
	if len(line) < sealLen+len("{") || line[len(line)-1] != '\n' {
		return nil, errors.New("it is no whole record")
	}
	if !isSealed(line) {
		return nil, errors.New("it does not end in a hash")
	}
	body, sealed := line[:len(line)-sealLen], line[len(line)-sealLen:]
	sum := hexSum(body)
	if !bytes.Equal(sum[:], sealed[len(sealPrefix):len(sealPrefix)+hashLen]) {
		return nil, errors.New("its hash does not fit its content")
	}
	e := new(Event)
	if err := json.Unmarshal(line, e); err != nil {
		return nil, fmt.Errorf("it is not JSON of the record's form: %w", err)
	}
	if e.Hash != string(sum[:]) {
		return nil, errors.New("it gives two hashes")
	}
	return e, nil
}

// Verify reads a whole log and checks that each record is unchanged and follows
// the one before it. It returns how many good records came before the first bad
// one, and a *BadRecord that names that. Pieces of records that a writer left
// when it died are no error if the record after them accounts for exactly their
// bytes; at the very end, not yet accounted for, they are.
func Verify(r io.Reader) (n int, err error) {
	rd := NewReader(r)
	v := verifier{prev: zeroHash()}
	for {
		start := rd.offset
		e, line, err := rd.Next()
		var bad *BadRecord
		switch {
		case errors.Is(err, io.EOF):
			return v.n, v.end()
		case errors.Is(err, io.ErrUnexpectedEOF):
			return v.n, v.first(&BadRecord{rd.line, start, "it was cut short"})
		case errors.As(err, &bad):
			err = v.piece(line, bad)
		case err == nil:
			if why := v.record(e); why != "" {
				err = v.first(&BadRecord{rd.line, start, why})
			}
		}
		if err != nil {
			return v.n, err
		}
	}
}

// verifier is where Verify has come to.
type verifier struct {
	n      int
	seq    uint64
	prev   [hashLen]byte
	torn   *BadRecord // the first of the pieces since the last record
	pieces []byte
}

// piece takes a line that is no record.
func (v *verifier) piece(line []byte, bad *BadRecord) error {
	if line == nil || isSealed(line) || len(v.pieces)+len(line) > longTail {
		return v.first(bad)
	}
	if v.torn == nil {
		v.torn = bad
	}
	v.pieces = append(v.pieces, line...)
	return nil
}

// record takes a line that is one; it says why it cannot stand here, "" if it can.
func (v *verifier) record(e *Event) string {
	pieces := len(v.pieces) - 1
	if v.torn != nil && !e.accountsFor(pieces, hexSum(v.pieces[:pieces])) {
		return v.torn.Why
	}
	if why := follows(e, v.seq, v.prev, v.torn != nil); why != "" {
		return why
	}
	v.torn, v.pieces = nil, v.pieces[:0]
	v.seq = e.Sequence
	copy(v.prev[:], e.Hash)
	v.n++
	return ""
}

// end is the verdict on a log that ends here.
func (v *verifier) end() error {
	if v.torn != nil {
		return v.torn
	}
	return nil
}

// first returns the earlier fault of a piece before and this one.
func (v *verifier) first(bad *BadRecord) error {
	if v.torn != nil {
		return v.torn
	}
	return bad
}

// follows says why e cannot come after the record with this sequence and hash;
// "" if it can.
func follows(e *Event, seq uint64, prev [hashLen]byte, torn bool) string {
	switch {
	case !e.Kind.Valid():
		return fmt.Sprintf("its kind %q is unknown", Clean(string(e.Kind), maxName))
	case e.Kind == KindTorn && !torn:
		return "it accounts for a torn record that is not there"
	case e.Sequence != seq+1:
		return fmt.Sprintf("its number is %d, not %d", e.Sequence, seq+1)
	case e.Prev != string(prev[:]):
		return "it does not follow the record before it"
	}
	return ""
}
