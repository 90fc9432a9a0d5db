package integration

import (
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// networks are the ways in which a container is wired. make returns the flags.
var networks = map[string]func(t *testing.T, e *lab.Engine) []string{
	"bridge": func(*testing.T, *lab.Engine) []string { return nil },
	"none":   func(*testing.T, *lab.Engine) []string { return []string{"--network", "none"} },
	"user-defined": func(t *testing.T, e *lab.Engine) []string {
		return []string{"--network", network(t, e, "plainnet")}
	},
	"user-defined with IPv6": func(t *testing.T, e *lab.Engine) []string {
		return []string{"--network", network(t, e, "sixnet", "--ipv6", "--subnet", "2001:db8:1::/64")}
	},
}

// network makes a network once for each engine; it goes with the engine.
func network(t *testing.T, e *lab.Engine, name string, flags ...string) string {
	t.Helper()
	if r, err := e.Try("network", "inspect", name); err == nil && r.Code == 0 {
		return name
	}
	if _, err := e.Docker(append(append([]string{"network", "create"}, flags...), name)...); err != nil {
		t.Fatal(err)
	}
	return name
}

// onNetworks runs the test on every engine and every wiring.
func onNetworks(t *testing.T, f func(t *testing.T, e *lab.Engine, flags []string)) {
	t.Helper()
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		for name, flags := range networks {
			t.Run(name, func(t *testing.T) { f(t, e, flags(t, e)) })
		}
	})
}

// TestAllowedIsAllowed: what the policy names works, at layer 7 and relayed, by
// tools that know nothing of a proxy.
func TestAllowedIsAllowed(t *testing.T) {
	onNetworks(t, func(t *testing.T, e *lab.Engine, flags []string) {
		ref := image(t, e, agent)
		got := run(t, e, flags, ref, "http http://api.example.com/plain", "resolve api.example.com")
		a := got["http http://api.example.com/plain"]
		if a.Map["status"] != "200" || !strings.Contains(a.Data, `"uri":"/plain"`) || !strings.Contains(a.Data, `"host":"api.example.com"`) {
			t.Errorf("plain HTTP: %v", a)
		}
		if addrs := got["resolve api.example.com"].Data; addrs == "" || strings.Contains(addrs, "198.51.100.") {
			t.Errorf("the agent was told %q, want an address of ours", addrs)
		}
		for _, args := range [][]string{
			{"curl", "-sS", "-m", "10", "--noproxy", "*", "https://api.example.com/tls"},
			{"curl", "-sS", "-m", "10", "--noproxy", "*", "-k", "https://raw.example.com/tls"},
		} {
			r, err := e.Run(append(append(append([]string{}, flags...), ref), args...)...)
			if err != nil || r.Code != 0 || !strings.Contains(r.Stdout, `"uri":"/tls"`) {
				t.Errorf("%v: %v, exit status %d, %s%s", args, err, r.Code, r.Stdout, r.Stderr)
			}
		}
	})
}

// TestDenialOnTheWire: a request that policy refuses is answered in JSON, and
// says why; upstream never hears of it.
func TestDenialOnTheWire(t *testing.T) {
	onNetworks(t, func(t *testing.T, e *lab.Engine, flags []string) {
		ref := image(t, e, agent)
		before := len(e.World.Internet.Web.Requests())
		got := run(t, e, flags, ref, "http http://api.example.com/x POST secret")
		a := got["http http://api.example.com/x POST secret"]
		if a.Map["status"] != "403" || !strings.Contains(a.Data, "policy_denied") || !strings.Contains(a.Data, `"web"`) {
			t.Errorf("plain HTTP: %v", a)
		}
		r, err := e.Run(append(append([]string{}, flags...), ref, "curl", "-sS", "-m", "10", "--noproxy", "*", "-w", "%{http_code}",
			"-X", "DELETE", "https://api.example.com/y")...)
		if err != nil || !strings.Contains(r.Stdout, "policy_denied") || !strings.HasSuffix(r.Stdout, "403") {
			t.Errorf("HTTPS: %v, exit status %d, %s%s", err, r.Code, r.Stdout, r.Stderr)
		}
		if now := e.World.Internet.Web.Requests(); len(now) != before {
			t.Errorf("upstream was asked: %+v", now[before:])
		}
	})
}

// TestNothingElseLeaves: every other way out, by programs that take no notice
// of a proxy; the recorder on the internet's side is the judge.
func TestNothingElseLeaves(t *testing.T) {
	onNetworks(t, func(t *testing.T, e *lab.Engine, flags []string) {
		ref := image(t, e, agent)
		mark, asked := e.World.Internet.Capture.Mark(), len(e.World.Internet.DNS.Queries())
		tries := wanted{
			"tcp " + lab.AllowedAddr4 + ":9000":                 "refused",
			"tcp " + lab.AllowedAddr4 + ":80 GET":               "refused",
			"tcp " + lab.OtherAddr4 + ":443":                    "refused",
			"tcp " + lab.OtherAddr4 + ":22":                     "refused",
			"tcp [" + lab.OtherAddr6 + "]:443":                  "refused",
			"tcp " + lab.MetadataAddr + ":80 GET":               "refused",
			"udp " + lab.OtherAddr4 + ":9001 hello":             "refused",
			"udp [" + lab.OtherAddr6 + "]:9001 hello":           "refused",
			"udp " + lab.PublicDNS4 + ":9001 hello":             "refused",
			"udp " + lab.OtherAddr4 + ":443 quic":               "refused",
			"resolve leak.example.org":                          "refused",
			"http http://other.example.org/":                    "refused",
			"tcp api.example.com:22":                            "refused",
			"tcp raw.example.com:80 GET":                        "refused",
			"dns " + lab.PublicDNS4 + ":53 secret.example.org":  "ok", // answered by us, with NXDOMAIN
			"dns " + lab.PublicDNS4 + ":53 x.api.example.com":   "ok",
			"dnstcp " + lab.PublicDNS4 + ":53 t.example.org":    "ok",
			"dns " + lab.PublicDNS4 + ":53 api.example.com TXT": "ok",
			"socket inet dgram sctp":                            "refused",
		}
		got := run(t, e, flags, ref, tries.ops()...)
		for _, op := range tries.ops() {
			a := got[op]
			if strings.HasPrefix(op, "tcp ") && a.OK && !strings.Contains(a.Data, "echo ") && !strings.Contains(a.Data, "200 OK") {
				continue // a denial page is an answer, too
			}
			if strings.HasPrefix(op, "dns") {
				if a.Map["addrs"] != "" {
					t.Errorf("%s: answered with %s", op, a.Map["addrs"])
				}
				continue
			}
			wanted{op: tries[op]}.check(t, got)
		}
		for _, cmd := range []string{
			"nc -w 2 " + lab.OtherAddr4 + " 9000 </dev/null | grep echo",
			"echo x | nc -u -w 1 " + lab.OtherAddr4 + " 9001 | grep x",
			"ping -c 1 -W 1 " + lab.OtherAddr4,
			"wget -T 3 -q -O - http://" + lab.OtherAddr4 + "/ | grep upstream",
			"curl -sS -m 3 --noproxy '*' -g 'http://[" + lab.OtherAddr6 + "]/' | grep upstream",
			"curl -sS -m 3 -k --noproxy '*' --connect-to ::" + lab.OtherAddr4 + ":443 https://api.example.com/ | grep upstream",
		} {
			if r, err := e.Run(append(append([]string{}, flags...), ref, "sh", "-c", cmd)...); err != nil || r.Code == 0 {
				t.Errorf("%q: %v, went through: %s%s", cmd, err, r.Stdout, r.Stderr)
			}
		}
		settle()
		if out := unexpected(e, mark, resolverTraffic...); len(out) > 0 {
			t.Errorf("this left:\n%s", strings.Join(out, "\n"))
		}
		for _, q := range e.World.Internet.DNS.Queries()[asked:] {
			if name := strings.TrimSuffix(q.Name, "."); name != "api.example.com" && name != "raw.example.com" {
				t.Errorf("the name %q was asked of %s: a question is egress", q.Name, q.Server)
			}
		}
	})
}

// TestNames: the resolver tells a refused name from a broken one, by EDE 15.
func TestNames(t *testing.T) {
	onNetworks(t, func(t *testing.T, e *lab.Engine, flags []string) {
		ref := image(t, e, agent)
		server := lab.PublicDNS4 + ":53"
		got := run(t, e, flags, ref, "dns "+server+" no.example.org", "dns "+server+" API.Example.COM", "dnstcp "+server+" api.example.com")
		if a := got["dns "+server+" no.example.org"]; a.Map["rcode"] != "RCodeNameError" || a.Map["addrs"] != "" {
			t.Errorf("a name of no rule: %v", a)
		}
		upper, tcp := got["dns "+server+" API.Example.COM"].Map["addrs"], got["dnstcp "+server+" api.example.com"].Map["addrs"]
		if upper == "" || upper != tcp {
			t.Errorf("case or transport change the answer: %q and %q", upper, tcp)
		}
	})
}

// TestFronting: one connection is to one name. SNI and Host must be the name
// that the address was given out for.
func TestFronting(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, agent)
		before := len(e.World.Internet.Web.Requests())
		for _, cmd := range []string{
			"curl -sS -m 5 --noproxy '*' -k -H 'Host: evil.example.org' https://api.example.com/",
			"curl -sS -m 5 --noproxy '*' -H 'Host: evil.example.org' http://api.example.com/",
			"curl -sS -m 5 --noproxy '*' -k --connect-to evil.example.org:443:api.example.com:443 https://evil.example.org/",
			"curl -sS -m 5 --noproxy '*' -k --connect-to evil.example.org:443:raw.example.com:443 https://evil.example.org/",
		} {
			r, err := e.Run(ref, "sh", "-c", cmd)
			if err != nil || strings.Contains(r.Stdout, `"upstream"`) {
				t.Errorf("%q: %v, %s%s", cmd, err, r.Stdout, r.Stderr)
			}
		}
		for _, req := range e.World.Internet.Web.Requests()[before:] {
			t.Errorf("upstream saw %s %s (SNI %q)", req.Method, req.Host, req.SNI)
		}
	})
}
