package egress

import (
	"fmt"
	"net/netip"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/policy"
)

// Ingress records a connection from outside to one of the agent's own ports,
// which the fence let in. further counts others that get no record of their
// own. The kernel tells of a connection when it has accepted it, so this is the
// one record that does not come before the bytes.
//
// Which container of a namespace listens is not known here: each gets the record.
func (p *Proxy) Ingress(from netip.AddrPort, port uint16, further int) {
	for _, res := range p.known.all() {
		e := &audit.Event{
			Kind: audit.KindIngress, Verdict: policy.Allow.String(), Proto: "tcp",
			Sandbox: res.ID, Policy: res.Digest, Addr: from.Addr().Unmap().String(), Port: int(port),
		}
		if further > 0 {
			e.Message = fmt.Sprintf("and %d more within a second", further)
		}
		_ = res.Log.Write(e) // the connection is there already
	}
}
