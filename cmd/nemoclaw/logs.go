package main

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/nemoclaw/nemoclaw/audit"
)

// record is one line of a log, or what is wrong with it.
type record struct {
	event *audit.Event
	line  []byte
	bad   error
}

// logs reads several logs as one, in the order of the records' times.
type logs struct {
	open    []*logFile
	known   map[string]bool
	damaged bool
}

// logFile is one log, read up to offset.
type logFile struct {
	f      *os.File
	start  int64 // where reader started
	offset int64 // of the first byte after the records that were read
	lines  int   // before offset
	reader *audit.Reader
	head   *record   // read but not shown yet
	ahead  []*record // read to understand head
}

func newLogs() *logs { return &logs{known: map[string]bool{}} }

func (l *logs) close() {
	for _, f := range l.open {
		f.f.Close()
	}
}

// add opens the files that are not open yet.
func (l *logs) add(files []string) error {
	for _, path := range files {
		if l.known[path] {
			continue
		}
		f, err := openLog(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed since it was listed
		}
		if err != nil {
			return err
		}
		l.known[path] = true
		l.open = append(l.open, &logFile{f: f})
	}
	return nil
}

// merge gives every whole record that has not been given yet to show. A record
// of a log counts as no older than those before it in that log.
func (l *logs) merge(show func(record) error) error {
	for _, f := range l.open {
		f.rewind()
		if err := f.next(); err != nil {
			return err
		}
	}
	for {
		oldest := l.oldest()
		if oldest == nil {
			return nil
		}
		r := oldest.head
		l.damaged = l.damaged || r.bad != nil
		if err := show(*r); err != nil {
			return err
		}
		if err := oldest.next(); err != nil {
			return err
		}
	}
}

// oldest returns the log whose next record is the oldest; nil when none has one.
// What has no time goes first.
func (l *logs) oldest() *logFile {
	var best *logFile
	for _, f := range l.open {
		switch {
		case f.head == nil:
		case f.head.bad != nil:
			return f
		case best == nil || f.head.event.Time.Before(best.head.event.Time):
			best = f
		}
	}
	return best
}

// rewind starts to read again where the last whole record ended; at the start,
// if the file was emptied.
func (f *logFile) rewind() {
	if st, err := f.f.Stat(); err == nil && st.Size() < f.offset {
		f.offset, f.lines = 0, 0
	}
	f.reader = audit.NewReader(io.NewSectionReader(f.f, f.offset, 1<<62))
	f.start = f.offset
	f.head, f.ahead = nil, nil
}

// next reads a record into head; nil at the end, and before a line that is still
// being written. Pieces of lines that the record after them accounts for are no
// damage, and are passed over.
func (f *logFile) next() error {
	r, err := f.take()
	if err != nil || r == nil || r.bad == nil {
		f.head = r
		return err
	}
	pieces := []*record{r}
	for {
		after, err := f.take()
		if err != nil {
			return err
		}
		if after != nil && after.bad != nil && len(pieces) < maxPieces {
			pieces = append(pieces, after)
			continue
		}
		if after != nil && after.bad == nil && after.event.Kind == audit.KindTorn {
			f.head = after
			return nil
		}
		f.head, f.ahead = r, pieces[1:]
		if after != nil {
			f.ahead = append(f.ahead, after)
		}
		return nil
	}
}

// maxPieces bounds how far is read ahead for a record that accounts for pieces.
const maxPieces = 64

// take returns the record that was read ahead, or the next of the file.
func (f *logFile) take() (*record, error) {
	if len(f.ahead) > 0 {
		r := f.ahead[0]
		f.ahead = f.ahead[1:]
		return r, nil
	}
	e, line, err := f.reader.Next()
	var bad *audit.BadRecord
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, nil
	case errors.As(err, &bad):
		// The reader counts from where it was started.
		bad.Line, bad.Offset = f.lines+1, f.offset
	case err != nil:
		return nil, err
	}
	f.offset = f.start + f.reader.Offset()
	f.lines++
	if bad != nil {
		return &record{bad: bad}, nil
	}
	return &record{event: e, line: bytes.Clone(line)}, nil
}
