package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// How much of a log's end is read to find its last record: first little, which
// is enough unless records are long or torn, then enough for several torn ones.
const (
	shortTail = 8 << 10
	longTail  = 4 * MaxLine
)

// tornEvent describes pieces of records: their length and hash, so that Verify
// can tell them from records that were damaged later.
func tornEvent(torn []byte) *Event {
	sum := hexSum(torn)
	return &Event{
		Kind: KindTorn, BytesOut: int64(len(torn)), Reason: string(sum[:]),
		Message: "the record before this one was cut short: its writer died or the disk was full",
	}
}

// accountsFor reports whether e is the record that tornEvent makes for pieces of
// this length and hash.
func (e *Event) accountsFor(length int, sum [hashLen]byte) bool {
	return e.Kind == KindTorn && e.BytesOut == int64(length) && e.Reason == string(sum[:])
}

// readTail finds the last whole record of a log of the given size, and returns
// the pieces of records that follow it.
func readTail(r io.ReaderAt, size int64) (tail, []byte, error) {
	end := tail{size: size, hash: zeroHash()}
	for _, window := range []int64{shortTail, longTail} {
		buf := make([]byte, min(size, window))
		if _, err := r.ReadAt(buf, size-int64(len(buf))); err != nil && !errors.Is(err, io.EOF) {
			return end, nil, fmt.Errorf("reading the last record: %w", err)
		}
		last, torn, err := scanTail(buf, int64(len(buf)) == size)
		if errors.Is(err, errNoRecord) && window < min(size, longTail) {
			continue
		}
		if err != nil {
			return end, nil, err
		}
		if last != nil {
			end.seq = last.Sequence
			copy(end.hash[:], last.Hash)
		}
		return end, torn, nil
	}
	return end, nil, errNoRecord
}

// errNoRecord says that there is no whole record where one should be.
var errNoRecord = fmt.Errorf("no record that one could follow in the last %d bytes, move the file away", longTail)

// scanTail goes back from the end of buf, over pieces of records, to the last
// whole one. first says that buf begins where the file does: there need be none.
// A line that has a record's form but not its hash is no piece: somebody has
// changed it.
func scanTail(buf []byte, first bool) (last *Event, torn []byte, err error) {
	at := bytes.LastIndexByte(buf, '\n') + 1
	for at > 0 {
		start := bytes.LastIndexByte(buf[:at-1], '\n') + 1
		if start == 0 && !first {
			return nil, nil, errNoRecord // its beginning was not read
		}
		e, err := parseLine(buf[start:at])
		if err == nil {
			return e, buf[at:], nil
		}
		if isSealed(buf[start:at]) {
			return nil, nil, fmt.Errorf("the last record was changed, move the file away: %w", err)
		}
		at = start
	}
	if !first {
		return nil, nil, errNoRecord
	}
	return nil, buf, nil
}

// isSealed reports whether a line ends as records do.
func isSealed(line []byte) bool {
	if len(line) < sealLen {
		return false
	}
	end := line[len(line)-sealLen:]
	return bytes.HasPrefix(end, []byte(sealPrefix)) && bytes.HasSuffix(end, []byte("\"}\n"))
}
