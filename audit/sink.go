package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// MaxLine bounds one record in bytes, its newline included. Event's texts are
// bounded such that a record always fits.
const MaxLine = 64 << 10

// ErrKind says that an Event's Kind is not one of the constants.
var ErrKind = errors.New("unknown kind of audit event")

// Sink appends records to one log file. It is safe for use by several
// goroutines, and several Sinks, in one process or in many, may append to the
// same file.
//
// It makes these system calls and no others: fcntl (F_GETFL, F_SETLK), flock,
// fstat, pread64, write, ftruncate, nanosleep, and the clock. A seccomp profile
// for a process that records must permit them, but for ftruncate, which is better
// refused to a process without privilege: see Write.
type Sink struct {
	mu    sync.Mutex
	file  *os.File
	owned bool // Close closes file
	buf   bytes.Buffer
	enc   *json.Encoder
	end   tail
}

// tail is where the file ended when this Sink last looked.
type tail struct {
	size int64
	seq  uint64
	hash [hashLen]byte // hex
}

const hashLen = 2 * sha256.Size

// New returns a Sink that appends to f, which stays the caller's. The file must
// be open for reading and appending (O_RDWR|O_APPEND): without O_APPEND two
// processes could write over each other. It may have been opened by another
// process with more rights.
func New(f *os.File) (*Sink, error) {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return nil, fmt.Errorf("asking how audit log %s is open: %w", f.Name(), err)
	}
	if flags&unix.O_APPEND == 0 || flags&unix.O_ACCMODE != unix.O_RDWR {
		return nil, fmt.Errorf("using %s as audit log: it must be open for reading and appending", f.Name())
	}
	s := &Sink{file: f, end: tail{size: -1}}
	s.enc = json.NewEncoder(&s.buf)
	s.enc.SetEscapeHTML(false)
	return s, nil
}

// Open opens the log at path for appending, and makes it, mode 0600, and its
// directories, mode 0700, when they are not there. It refuses a symlink and
// anything but a regular file.
func Open(path string) (*Sink, error) {
	f, err := OpenFile(path)
	if err != nil {
		return nil, err
	}
	s, err := New(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	s.owned = true
	return s, nil
}

// OpenFile opens a log as Open does and returns the file itself, to be handed to
// another process. Give each process a descriptor of its own where possible.
func OpenFile(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of audit log %q: %w", path, err)
	}
	const flags = os.O_CREATE | os.O_RDWR | os.O_APPEND | unix.O_NOFOLLOW | unix.O_NONBLOCK
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening audit log: %w", err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("it is not a regular file (%s)", st.Mode().Type())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("opening audit log %q: %w", path, err)
	}
	return f, nil
}

// Path is where the log of the container with this id lies below logDir.
func Path(logDir, id string) string {
	return filepath.Join(logDir, "sandboxes", id+".jsonl")
}

// Close ends the Sink's use of the file, which is closed only if Open opened it.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.owned {
		return nil
	}
	return s.file.Close()
}

// Write appends e as one line. When it returns nil, the kernel has the whole
// line: it survives the death of this process, though not a loss of power. Any
// error means that there is no record, and that what was to be recorded must
// not happen. Write fills in Sequence, Prev, Hash and a zero Time in e, and
// cleans e's texts in place.
func (s *Sink) Write(e *Event) error {
	if !e.Kind.Valid() || e.Kind == KindTorn {
		return fmt.Errorf("recording %q: %w", string(e.Kind), ErrKind)
	}
	e.clean()
	s.mu.Lock()
	defer s.mu.Unlock()
	unlock, err := lock(s.file)
	if err != nil {
		return fmt.Errorf("recording %s: %w", e.Kind, err)
	}
	defer unlock()
	if err := s.catchUp(); err != nil {
		return fmt.Errorf("recording %s: %w", e.Kind, err)
	}
	if err := s.append(e, ""); err != nil {
		return fmt.Errorf("recording %s: %w", e.Kind, err)
	}
	return nil
}

// catchUp makes s.end describe the file as it is now. Nothing is read when
// nobody else has written since. What a writer left of a record when it died, or
// when the disk was full, is followed by a record that says so.
func (s *Sink) catchUp() error {
	st, err := s.file.Stat()
	if err != nil {
		return err
	}
	if st.Size() == s.end.size {
		return nil
	}
	end, torn, err := readTail(s.file, st.Size())
	if err != nil {
		return err
	}
	s.end = end
	if len(torn) == 0 {
		return nil
	}
	if err := s.account(torn); err != nil {
		s.end.size = -1
		return fmt.Errorf("accounting for a torn record: %w", err)
	}
	return nil
}

// account deals with the pieces of records after the last whole one. If only a
// newline lacks to the last of them, it gets that; otherwise they are followed
// by a record with their length and hash.
func (s *Sink) account(torn []byte) error {
	pieces, last := torn, []byte(nil)
	if i := bytes.LastIndexByte(torn, '\n'); torn[len(torn)-1] != '\n' {
		pieces, last = torn[:i+1], torn[i+1:]
	}
	if e, err := parseLine(append(bytes.Clone(last), '\n')); err == nil {
		return s.finish(e, pieces)
	}
	if len(last) == 0 {
		return s.append(tornEvent(torn[:len(torn)-1]), "")
	}
	return s.append(tornEvent(torn), "\n")
}

// finish adds the newline that is all that e, the last record, lacks. Pieces are
// what lies between it and the record before.
func (s *Sink) finish(e *Event, pieces []byte) error {
	if len(pieces) > 0 && !e.accountsFor(len(pieces)-1, hexSum(pieces[:len(pieces)-1])) {
		return errors.New("the last record does not account for the torn one before it")
	}
	if why := follows(e, s.end.seq, s.end.hash, len(pieces) > 0); why != "" {
		return fmt.Errorf("the last record: %s", why)
	}
	if _, err := s.file.Write([]byte{'\n'}); err != nil {
		return err
	}
	s.end.size++
	s.end.seq = e.Sequence
	copy(s.end.hash[:], e.Hash)
	return nil
}

// append writes e as the next record of the chain, after prefix, in one write.
// The lock is held.
func (s *Sink) append(e *Event, prefix string) error {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
	e.Sequence, e.Prev, e.Hash = s.end.seq+1, string(s.end.hash[:]), ""
	s.buf.Reset()
	s.buf.WriteString(prefix)
	if err := s.enc.Encode(e); err != nil {
		return err
	}
	line, sum := seal(s.buf.Bytes(), len(prefix))
	e.Hash = string(sum[:])
	if len(line) > MaxLine {
		return fmt.Errorf("the record has %d bytes, more than %d", len(line), MaxLine)
	}
	n, err := s.file.Write(line)
	if err == nil {
		s.end = tail{size: s.end.size + int64(n), seq: e.Sequence, hash: sum}
		return nil
	}
	// Take back what was written of it, so that a full disk leaves no torn line.
	// Where that is refused, the next writer accounts for it.
	if n > 0 && unix.Ftruncate(int(s.file.Fd()), s.end.size) != nil {
		s.end.size = -1
	}
	return err
}

// sealPrefix comes between what is hashed and the hash.
const sealPrefix = `,"hash":"`

// sealLen is the length of what seal adds to a record in place of its "}\n".
const sealLen = len(sealPrefix) + hashLen + len("\"}\n")

// seal turns the JSON line `{…}\n` into `{…,"hash":"…"}\n`; the hash covers all
// before its comma, and thereby the hash of the record before.
// The line starts at from.
func seal(line []byte, from int) ([]byte, [hashLen]byte) {
	body := line[:len(line)-len("}\n")]
	sum := hexSum(body[from:])
	line = append(body, sealPrefix...)
	line = append(line, sum[:]...)
	return append(line, "\"}\n"...), sum
}

func hexSum(b []byte) (out [hashLen]byte) {
	sum := sha256.Sum256(b)
	hex.Encode(out[:], sum[:])
	return out
}

// zeroHash is Prev of a file's first record.
func zeroHash() (h [hashLen]byte) {
	for i := range h {
		h[i] = '0'
	}
	return h
}
