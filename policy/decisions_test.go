package policy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/policy"
)

// loadTestPolicy reads a policy of testdata and fills its placeholders in.
func loadTestPolicy(t testing.TB, name string) *policy.Document {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/policies", name))
	if err != nil {
		t.Fatal(err)
	}
	doc, _, err := policy.Parse(name, fillTemplate(data))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func fillTemplate(data []byte) []byte {
	for from, to := range map[string]string{
		"${host_spec}": "host: mcp.demo.example", "${port_spec}": "        port: 8080", "${path}": "/mcp",
		"${index_host}": "index.example", "${files_host}": "files.index.example",
	} {
		data = bytes.ReplaceAll(data, []byte(from), []byte(to))
	}
	return data
}

// TestDecisions reads the tables under testdata/decisions. Each was worked out
// by hand from the schema. A line is
//
//	verdict reason program request
//
// where the program is "exe<parent<…" or "-" for none known, several holders
// joined by "&", and the request one of
//
//	METHOD url | CONNECT host:port | UDP host:port
//	WS upgrade|text|binary|plain url | GQL type:name{field,…} url | GQL #id url
//	MCP method[:tool] url | MCP@version … | RPC method url
func TestDecisions(t *testing.T) {
	files, err := filepath.Glob("testdata/decisions/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no tables", err)
	}
	total := 0
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { total += runTable(t, file) })
	}
	t.Logf("%d decisions", total)
	if total < 300 {
		t.Errorf("only %d decisions, want 300", total)
	}
}

func runTable(t *testing.T, file string) int {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var m *policy.Matcher
	n, count := 0, 0
	for scanner := bufio.NewScanner(bytes.NewReader(data)); scanner.Scan(); {
		n++
		f := strings.Fields(scanner.Text())
		switch {
		case len(f) == 0 || f[0][0] == '#':
		case f[0] == "policy":
			if m, err = policy.Compile(tablePolicy(t, f[1])); err != nil {
				t.Fatal(err)
			}
		default:
			count++
			checkLine(t, m, fmt.Sprintf("%s:%d", file, n), f)
		}
	}
	return count
}

// tablePolicy gives a file of testdata, or presets.
func tablePolicy(t *testing.T, name string) *policy.Document {
	list, ok := strings.CutPrefix(name, "preset:")
	if !ok {
		return loadTestPolicy(t, name)
	}
	doc, err := policy.Presets(strings.Split(list, ","), testSettings())
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func checkLine(t *testing.T, m *policy.Matcher, at string, f []string) {
	t.Helper()
	r, err := parseRequest(f[2], f[3:])
	if err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	d := m.Decide(r)
	want := policy.Reason(f[1])
	if want == "-" {
		want = policy.ReasonAllowed
	}
	if d.Verdict.String() != f[0] || d.Reason != want {
		t.Errorf("%s: %v: got %s %s by %q at %s (%s), want %s %s", at, f[2:], d.Verdict, d.Reason, d.Rule, d.At, d.Why, f[0], want)
	}
	if d.Verdict == policy.Deny {
		return
	}
	if d.At.File == "" || d.Rule == "" || d.Treatment == policy.TreatNone {
		t.Errorf("%s: an allowed request without place, rule or treatment: %+v", at, d)
	}
	connect := *r
	connect.Stage = policy.StageConnect
	if c := m.Decide(&connect); c.Verdict != policy.Allow {
		t.Errorf("%s: the request is allowed, but its connection is not: %s", at, c.Reason)
	}
}

func parseRequest(programs string, f []string) (*policy.Request, error) {
	r := &policy.Request{Stage: policy.StageRequest, Callers: parsePrograms(programs)}
	verb, version, _ := strings.Cut(f[0], "@")
	r.MCPVersion = version
	switch verb {
	case "CONNECT", "UDP":
		r.Stage = policy.StageConnect
		r.UDP = verb == "UDP"
		host, port, _ := cutLast(f[1], ':')
		n, err := strconv.ParseUint(port, 10, 16)
		r.Host, r.Port = host, uint16(n)
		literal(r)
		return r, err
	case "WS":
		r.Method = "GET"
		r.WebSocket = map[string]policy.WebSocket{"upgrade": policy.WebSocketUpgrade, "text": policy.WebSocketText, "binary": policy.WebSocketBinary}[f[1]]
	case "GQL":
		r.Method = "POST"
		for _, op := range strings.Split(f[1], "+") {
			r.GraphQL = append(r.GraphQL, parseOperation(op))
		}
	case "MCP", "RPC":
		r.Method = "POST"
		for _, call := range strings.Split(f[1], "+") {
			method, tool, _ := strings.Cut(call, ":")
			r.RPC = append(r.RPC, policy.RPCCall{Method: method, Tool: tool, Name: tool, Response: method == "response"})
		}
		if r.RPC[0].Response {
			r.RPC[0].Method = ""
		}
	default:
		r.Method, r.MCPVersion = f[0], ""
		return r, setURL(r, f[1])
	}
	return r, setURL(r, f[2])
}

func parsePrograms(s string) []policy.Caller {
	if s == "-" {
		return nil
	}
	var out []policy.Caller
	for _, holder := range strings.Split(s, "&") {
		var c policy.Caller
		for i, exe := range strings.Split(holder, "<") {
			path, sum, _ := strings.Cut(exe, "#")
			x := policy.Executable{Path: path, SHA256: sum}
			if i == 0 {
				c.Executable = x
			} else {
				c.Ancestors = append(c.Ancestors, x)
			}
		}
		out = append(out, c)
	}
	return out
}

func parseOperation(s string) policy.GraphQLOperation {
	if id, ok := strings.CutPrefix(s, "#"); ok {
		return policy.GraphQLOperation{PersistedID: id}
	}
	head, fields, _ := strings.Cut(strings.TrimSuffix(s, "}"), "{")
	kind, name, _ := strings.Cut(head, ":")
	return policy.GraphQLOperation{Type: kind, Name: name, Fields: strings.Split(fields, ",")}
}

// setURL splits by hand: the path must arrive as it was received.
func setURL(r *policy.Request, s string) error {
	u, err := url.Parse(s[:strings.IndexAny(s[8:]+"/", "/")+8])
	if err != nil {
		return err
	}
	rest := s[strings.IndexAny(s[8:]+"/", "/")+8:]
	r.Path, r.RawQuery, _ = strings.Cut(rest, "?")
	if r.Path == "" {
		r.Path = "/"
	}
	r.Host, r.Port = u.Hostname(), 443
	if u.Scheme == "http" {
		r.Port = 80
	}
	if u.Port() != "" {
		n, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil {
			return err
		}
		r.Port = uint16(n)
	}
	literal(r)
	return nil
}

// literal moves an address from Host to Addr, as the proxy does.
func literal(r *policy.Request) {
	if a, err := netip.ParseAddr(strings.Trim(r.Host, "[]")); err == nil {
		r.Host, r.Addr = "", a
	}
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
