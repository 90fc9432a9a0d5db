// Package engine finds out which container engine called the runtime, and what
// that engine has on record about the container: its image, labels, published
// ports and modes.
//
// It reads files and never asks the engine's API, which holds a lock while the
// runtime creates. The files are the engine's own, owned by root; what stands
// in them partly comes from an image and is hostile. Every open refuses
// symlinks, every size is bounded, and a file that another user than root could
// have written is refused.
package engine

// Docker is the Engine of a Record that came from Docker's own store.
const Docker = "docker"

// Record is what the engine knows about one container.
type Record struct {
	Engine  string // Docker
	Name    string // the container's name, without a slash
	Image   string // reference as the user gave it
	ImageID string // digest, "sha256:…"

	Labels map[string]string // image and container labels merged; the container's win
	// ImageLabels are the labels of the image's own configuration. Nil: unknown,
	// because the image store could not be read, and then no label may be taken
	// for the operator's. Empty but not nil: the image has none.
	ImageLabels map[string]string

	Published   []Port // sorted by Container, Proto, HostIP, Host
	NetworkMode string // "default", "bridge", "none", "host", "container:<id>", or a network's name
	PidMode     string // "", "host", "container:<id>"
	Privileged  bool
	CapAdd      []string // as the user gave them
	SecurityOpt []string // as the user gave them
	// OperatorMounts are the destinations that the run command asked for, clean
	// and sorted; neither the image's VOLUMEs nor the engine's own files.
	OperatorMounts []string
}

// Port is a port of the container that the engine publishes.
type Port struct {
	Container uint16
	Proto     string // tcp, udp or sctp
	HostIP    string // "" means every address
	Host      uint16 // 0: the engine picks one
}

// Origin says who gave a container a label.
type Origin uint8

// Who gave a label. OriginNone, the zero value: nobody did.
const (
	OriginNone     Origin = iota
	OriginImage           // the image's author, as far as is known
	OriginOperator        // whoever ran the container
)

// Label returns the container's label of that name and who gave it. It is the
// operator's only where it is known to differ from the image's own.
func (r *Record) Label(name string) (string, Origin) {
	value, ok := r.Labels[name]
	if !ok {
		return "", OriginNone
	}
	if r.ImageLabels == nil {
		return value, OriginImage
	}
	if own, ok := r.ImageLabels[name]; ok && own == value {
		return value, OriginImage
	}
	return value, OriginOperator
}
