package hooks

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/policy"
)

// countersFile, in state_dir, holds the highest counter seen of each signed
// policy, so that an older one cannot come back.
const countersFile = "signed-policies.json"

// maxCounters bounds that file, in bytes.
const maxCounters = 1 << 20

// signed gives an image's policy where a key of image_policy_keys has signed
// it; nil where the image has none. One without a good signature is refused: to
// fall back to another policy would hide that.
func (h *Host) signed(label, root string) (*chosen, error) {
	origin, name, data, err := h.imageEnvelope(label, root)
	if data == nil || err != nil {
		return nil, err
	}
	keys, err := h.imagePolicyKeys()
	if err != nil {
		return nil, err
	}
	s, err := policy.Verify(data, keys, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: image_policy: signed: %w", name, err)
	}
	if err := h.remember(s); err != nil {
		return nil, fmt.Errorf("%s: image_policy: signed: %w", name, err)
	}
	return parse(origin, name, s.Text)
}

// imageEnvelope gives the bytes of the image's label or file, and where they
// are from.
func (h *Host) imageEnvelope(label, root string) (origin plan.Origin, name string, data []byte, err error) {
	if label != "" {
		name = "label:" + PolicyKey
		l, err := policy.ParseLabel(label)
		if err == nil && l.Kind != policy.LabelInline {
			err = errors.New("image_policy: signed: it is not a signed policy")
		}
		if err != nil {
			return origin, name, nil, fmt.Errorf("%s: %w", name, err)
		}
		return plan.FromImageLabel, name, l.Data, nil
	}
	for _, file := range imagePolicyFiles {
		text, err := readBelow(root, file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return origin, file, nil, fmt.Errorf("reading the image's policy %s: %w", file, err)
		}
		return plan.FromImageFile, "image:" + file, text, nil
	}
	return origin, "", nil, nil
}

func (h *Host) imagePolicyKeys() ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	for _, file := range h.Config.ImagePolicyKeys {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading a key of image_policy_keys: %w", err)
		}
		key, err := policy.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("reading a key of image_policy_keys: %s: %w", file, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// remember refuses a counter below the highest that was seen, and records a
// higher one, under a lock: containers start at the same time.
func (h *Host) remember(s *policy.Signed) error {
	if err := os.MkdirAll(h.Config.StateDir, 0o700); err != nil {
		return fmt.Errorf("recording a signed policy: %w", err)
	}
	file := filepath.Join(h.Config.StateDir, countersFile)
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("recording a signed policy: %w", err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", file, err)
	}
	counters := map[string]uint64{}
	text, err := io.ReadAll(io.LimitReader(f, maxCounters))
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	if len(text) > 0 {
		// A file that cannot be read must not forget what was seen.
		if err := json.Unmarshal(text, &counters); err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
	}
	key := s.KeyID + " " + s.Name
	if seen := counters[key]; s.Counter < seen {
		return fmt.Errorf("its counter is %d, but %d has been seen: an older policy cannot come back", s.Counter, seen)
	} else if s.Counter == seen {
		return nil
	}
	counters[key] = s.Counter
	return writeCounters(f, counters)
}

// writeCounters appends nothing and truncates last: numbers only grow, so the
// new text is never shorter than the old.
func writeCounters(f *os.File, counters map[string]uint64) error {
	text, err := json.Marshal(counters)
	if err != nil {
		return fmt.Errorf("recording a signed policy: %w", err)
	}
	if _, err := f.WriteAt(append(text, '\n'), 0); err != nil {
		return fmt.Errorf("recording a signed policy: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("recording a signed policy: %w", err)
	}
	return nil
}
