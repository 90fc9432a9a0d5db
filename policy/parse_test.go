package policy_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nemoclaw/nemoclaw/policy"
)

// network wraps an endpoint into a policy; the endpoint starts at line 5.
func network(endpoint string) string {
	return "version: 1\nnetwork_policies:\n  a:\n    endpoints:\n      - " + endpoint + "\n    binaries: any\n"
}

// Each mistake is found at its place, with the words that lead to the fix.
func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct{ text, at, want string }{
		"empty":              {"", "1:1", "add the line: version: 1"},
		"no version":         {"landlock: {}\n", "1:1", "version is missing"},
		"version 2":          {"version: 2\n", "1:10", "between 1 and 1"},
		"quoted version":     {"version: \"1\"\n", "1:10", "without quotes"},
		"unknown key":        {"version: 1\nnetwork_policys: {}\n", "2:1", `did you mean "network_policies"?`},
		"unknown deep key":   {network("{host: a.example.com, prot: 443}"), "5:31", `unknown key "prot"`},
		"duplicate key":      {"version: 1\nversion: 1\n", "2:1", "already set at line 1"},
		"duplicate rule":     {"version: 1\nnetwork_policies:\n  a: {}\n  a: {}\n", "4:3", "already set at line 3"},
		"alias":              {"version: 1\nprocess: &p {}\nlandlock: *p\n", "2:10", "anchors are not accepted"},
		"bare asterisk":      {network("{host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: *, path: /}}]}"), "5:83", "quote a pattern"},
		"merge key":          {"version: 1\n<<: {}\n", "2:1", "merge keys"},
		"tag":                {"version: !!int 1\n", "1:10", "tags are not accepted"},
		"second document":    {"version: 1\n---\nversion: 1\n", "2:1", "a second document"},
		"NUL":                {"version: 1\n\x00", "2:1", "NUL"},
		"UTF-16":             {"\xff\xfev\x00", "x", "UTF-16"},
		"not UTF-8":          {"version: 1\nname: \xff\n", "2:7", "not UTF-8"},
		"tab":                {"version: 1\nlandlock:\n\tcompatibility: best_effort\n", "3:1", "indent by blanks"},
		"bidi":               {"version: 1\nprocess: {run_as_user: \"a\u202eb\"}\n", "2:24", "direction character"},
		"relative path":      {"version: 1\nfilesystem_policy: {read_only: [usr]}\n", "2:33", "not absolute"},
		"dotdot":             {"version: 1\nfilesystem_policy: {read_only: [/usr/../etc]}\n", "2:33", "contains .."},
		"writable root":      {"version: 1\nfilesystem_policy: {read_write: [/]}\n", "2:34", "may not be /"},
		"landlock word":      {"version: 1\nlandlock: {compatibility: strict}\n", "2:27", "one of: best_effort, hard_requirement"},
		"user out of range":  {"version: 1\nprocess: {run_as_user: 4294967296}\n", "2:24", "run_as_user must be between"},
		"user as text":       {"version: 1\nprocess: {run_as_user: \"4294967296\"}\n", "2:24", "not a user number"},
		"reserved key":       {"version: 1\nnetwork_policies:\n  _provider_x: {}\n", "3:3", "reserved"},
		"no port":            {network("{host: a.example.com}"), "5:9", "without a port"},
		"port and ports":     {network("{host: a.example.com, port: 1, ports: [2]}"), "5:40", "both set"},
		"port 0":             {network("{host: a.example.com, port: 0}"), "5:37", "between 1 and 65535"},
		"no host":            {network("{port: 443}"), "5:9", "needs allowed_ips"},
		"star":               {network(`{host: "*", port: 443}`), "5:16", "every host"},
		"star com":           {network(`{host: "*.com", port: 443}`), "5:16", "top-level domain"},
		"late deep star":     {network(`{host: "a.**.example.com", port: 443}`), "5:16", "after the first label"},
		"star in label":      {network(`{host: "a.b*.example.com", port: 443}`), "5:16", "inside a later label"},
		"url as host":        {network(`{host: "https://a.example.com/", port: 443}`), "5:16", "without scheme"},
		"odd address":        {network(`{host: "127.1", port: 443}`), "5:16", "neither a DNS name nor an address"},
		"protocol word":      {network("{host: a.example.com, port: 443, protocol: http}"), "5:52", "one of: "},
		"rest without rules": {network("{host: a.example.com, port: 443, protocol: rest}"), "5:9", "without rules or access"},
		"access and rules":   {network("{host: a.example.com, port: 443, protocol: rest, access: full, rules: [{allow: {method: GET, path: /}}]}"), "5:66", "both set"},
		"empty rules":        {network("{host: a.example.com, port: 443, protocol: rest, rules: []}"), "5:65", "rules is empty"},
		"empty denies":       {network("{host: a.example.com, port: 443, protocol: rest, access: full, deny_rules: []}"), "5:84", "deny_rules is empty"},
		"deny without path":  {network("{host: a.example.com, port: 443, protocol: rest, access: full, deny_rules: [{method: GET}]}"), "5:85", "never fires"},
		"deny at L4":         {network("{host: a.example.com, port: 443, deny_rules: [{method: GET, path: /}]}"), "5:42", "need a protocol"},
		"lower method":       {network("{host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: get, path: /}}]}"), "5:83", "write GET"},
		"braces":             {network(`{host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, path: "/{a,b}"}}]}`), "5:94", "another meaning"},
		"inline flag":        {network(`{host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, path: "/(?i)a"}}]}`), "5:94", "another meaning"},
		"mcp access":         {network("{host: a.example.com, port: 443, protocol: mcp, access: full}"), "5:65", "no access presets"},
		"mcp versions":       {network("{host: a.example.com, port: 443, protocol: mcp, mcp: {versions: []}, rules: [{allow: {}}]}"), "5:73", "versions is empty"},
		"mcp null versions":  {network("{host: a.example.com, port: 443, protocol: mcp, mcp: {versions: }, rules: [{allow: {}}]}"), "5:63", "must be a list"},
		"tcp with rules":     {network("{host: a.example.com, port: 443, protocol: tcp, access: full}"), "5:57", "not parsed"},
		"tcp to address":     {network("{host: 10.0.0.1, port: 443, protocol: tcp}"), "5:9", "needs a DNS host"},
		"skip and rest":      {network("{host: a.example.com, port: 443, protocol: rest, tls: skip, access: full}"), "5:58", "cannot be inspected"},
		"loopback range":     {network("{port: 443, allowed_ips: [127.0.0.0/8]}"), "5:35", "loopback"},
		"metadata range":     {network("{port: 443, allowed_ips: [169.254.169.254]}"), "5:35", "link-local"},
		"bad range":          {network("{port: 443, allowed_ips: [10.0.0.0/40]}"), "5:35", "not an address range"},
		"zone":               {network(`{port: 443, allowed_ips: ["fd00::1%eth0"]}`), "5:35", "not an address range"},
		"graphql field":      {network("{host: a.example.com, port: 443, protocol: graphql, rules: [{allow: {method: GET}}]}"), "5:78", `unknown key "method"`},
		"option elsewhere":   {network("{host: a.example.com, port: 443, protocol: rest, access: full, persisted_queries: deny}"), "5:72", "does not belong"},
		"binary relative":    {"version: 1\nnetwork_policies: {a: {endpoints: [], binaries: [{path: curl}]}}\n", "2:57", "absolute path"},
		"bad sum":            {"version: 1\nnetwork_policies: {a: {endpoints: [], binaries: [{path: /a, sha256: abc}]}}\n", "2:69", "64 hexadecimal"},
		"middleware order":   {"version: 1\nnetwork_middlewares:\n  a: {middleware: x, order: 1, endpoints: {include: [a.example.com]}}\n  b: {middleware: x, order: 1, endpoints: {include: [a.example.com]}}\n", "4:3", "same order"},
		"middleware nowhere": {"version: 1\nnetwork_middlewares:\n  a: {middleware: x, order: 1}\n", "3:3", "include is empty"},
		"max_class":          {"version: 1\nnemoclaw: {inference: {max_class: top}}\n", "2:35", "one of: public"},
		"hold":               {"version: 1\nnemoclaw: {approvals: {hold: 30}}\n", "2:30", "quote it"},
		"host service":       {"version: 1\nnemoclaw: {host_services: [{name: ollama.host}]}\n", "2:28", "needs name and port"},
		"uncredentialed L4":  {network("{host: a.example.com, port: 443, credential_binding: {provider: x}}"), "5:42", "must be inspected"},
		"three asterisks":    {network(`{host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, path: "/***"}}]}`), "5:94", "***"},
		"pattern bomb":       {network(`{host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, path: "/` + strings.Repeat("*a", 40) + `"}}]}`), "5:94", "more than 16 wildcards"},
		"disagree on tls":    {network("{host: a.example.com, port: 443, tls: skip}\n      - {host: \"*.example.com\", port: 443}"), "", "disagree on tls"},
		"disagree on audit":  {network("{host: a.example.com, port: 443, protocol: rest, access: full}\n      - {host: a.example.com, port: 443, protocol: rest, access: full, enforcement: enforce}"), "6:9", "disagree on enforcement"},
	} {
		t.Run(name, func(t *testing.T) { checkMistake(t, c.text, c.at, c.want) })
	}
}

func checkMistake(t *testing.T, text, at, want string) {
	doc, _, err := policy.Parse("f", []byte(text))
	var all policy.Errors
	if doc != nil || !errors.As(err, &all) || len(all) == 0 {
		t.Fatalf("accepted: %v", err)
	}
	for _, e := range all {
		if !strings.Contains(e.Error(), want) {
			continue
		}
		if got := fmt.Sprintf("%d:%d", e.At.Line, e.At.Column); at != "" && at != "x" && got != at {
			t.Errorf("at %s, want %s: %v", got, at, e)
		}
		if at != "x" && e.At.Line > 0 && at != "" && e.Excerpt == "" {
			t.Errorf("no excerpt: %v", e)
		}
		return
	}
	t.Errorf("%q is not said: %v", want, err)
}

// Several mistakes come in one run, in the order of the file.
func TestSeveralMistakes(t *testing.T) {
	_, _, err := policy.Parse("f", []byte("version: 3\nlandlock: {compatibility: x}\nfilesystem_policy: {read_only: [a, b]}\n"))
	var all policy.Errors
	if !errors.As(err, &all) || len(all) != 4 || all[0].At.Line != 1 || all[3].At.Line != 3 {
		t.Errorf("%v", err)
	}
}

// Bombs are refused at once and in little memory.
func TestBombs(t *testing.T) {
	deep := strings.Repeat("a:\n", 1)
	for i := 1; i < 5000; i++ {
		deep += strings.Repeat(" ", i%1000) + "a:\n"
	}
	laughs := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i < 'j'; i++ {
		laughs += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	for name, text := range map[string]string{
		"laughs":   laughs,
		"flow":     strings.Repeat("[", 1<<20),
		"maps":     strings.Repeat("{a: ", 1<<18),
		"dashes":   strings.Repeat("- ", 1<<19),
		"block":    deep,
		"commas":   "a: [" + strings.Repeat("x,", 1<<20) + "]",
		"colons":   strings.Repeat("a:", 1<<20),
		"too long": strings.Repeat("x", 5<<20),
		"pattern":  network(`{host: a.example.com, port: 1, protocol: rest, rules: [{allow: {path: "` + strings.Repeat("/**", 300) + `"}}]}`),
		"keys":     "version: 1\n" + strings.Repeat("a: 1\n", 10_000),
	} {
		var err error
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err = policy.Parse("bomb", []byte(text))
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		const enough = 50 * time.Millisecond
		took := quickest(enough, func() { _, _, err = policy.Parse("bomb", []byte(text)) })
		if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 50 || took > enough {
			t.Errorf("%s: %s and %d MB: %.80v", name, took, mb, err)
		}
	}
}

// A hostile pattern costs little against a hostile path.
func TestPatternsCannotBeBombs(t *testing.T) {
	pattern := "/" + strings.Repeat("**/a*a/", 4) + "b"
	doc, _, err := policy.Parse("f", []byte(network(`{host: a.example.com, port: 443, protocol: rest, enforcement: enforce, rules: [{allow: {method: GET, path: "`+pattern+`"}}]}`)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := policy.Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/" + strings.Repeat("aa/", 1300), "/" + strings.Repeat("a", 4000), strings.Repeat("/a", 2000)} {
		const enough = 20 * time.Millisecond
		r := &policy.Request{Stage: policy.StageRequest, Host: "a.example.com", Port: 443, Method: "GET", Path: path}
		if d := quickest(enough, func() { m.Decide(r) }); d > enough {
			t.Errorf("%.20s…: %s", path, d)
		}
	}
}

// A document that makes endpoints overlap as much as it can is read or refused
// in bounded time: an image brings it, and create waits for it.
func TestOverlapsCannotBeBombs(t *testing.T) {
	build := func(n int, endpoint func(i int) string) []byte {
		var b strings.Builder
		b.WriteString("version: 1\nnetwork_policies:\n  a:\n    binaries: any\n    endpoints:\n")
		for i := range n {
			b.WriteString("      - " + endpoint(i) + "\n")
		}
		return []byte(b.String())
	}
	for name, text := range map[string][]byte{
		"one host": build(1000, func(i int) string {
			return fmt.Sprintf("{host: a.example.com, port: 443, path: \"/%04d*\", protocol: rest, enforcement: enforce, access: full, limits: {connections: %d}}", i, i)
		}),
		"many hosts": build(10_000, func(i int) string {
			return fmt.Sprintf("{host: h%d.example.com, port: 443, path: \"/%04d*\", protocol: rest, enforcement: enforce, access: full, limits: {connections: %d}}", i/500, i, i)
		}),
		"wildcards": build(900, func(i int) string { return fmt.Sprintf("{host: \"*%d*.example.com\", port: 443}", i) }),
		"wildcards of variants": build(9000, func(i int) string {
			return fmt.Sprintf("{host: \"*%d*.example.com\", port: %d}", i/10, 1+i%10)
		}),
	} {
		const enough = 4 * time.Second
		if d := quickest(enough, func() { _, _, _ = policy.Parse("overlap", text) }); d > enough {
			t.Errorf("%s: %s", name, d)
		}
	}
}
