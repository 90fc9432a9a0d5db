package policy

import "strings"

// The methods of WebSocket rules beside GET, which is the upgrade.
const (
	methodText   = "WEBSOCKET_TEXT"
	methodBinary = "WEBSOCKET_BINARY" // ours; "*" does not include it
)

// ruleMatch is a compiled entry of rules or deny_rules, or a part of an access
// preset.
type ruleMatch struct {
	at            Position
	never         bool   // an allow without path: the format matches nothing with it
	method        string // "" and "*": any
	path          *glob  // nil: any
	query         []queryMatch
	operationType string // "" and "*": any
	operationName *glob
	fields        []*glob
	rpcMethod     *glob // nil: any
	tool          []*glob
	params        []*glob
}

type queryMatch struct {
	key string
	any []*glob
}

// compileRule compiles one rule. The decoder has checked the patterns, but a
// document may also come from elsewhere.
func compileRule(r *Rule, protocol Protocol, deny bool) (ruleMatch, *patternError) {
	c := &globCompiler{}
	m := ruleMatch{at: r.At, method: r.Method, operationType: r.OperationType}
	switch protocol {
	case ProtocolREST, ProtocolWebSocket:
		m.never = r.Path == "" && !deny
		if r.Path != "" {
			m.path = c.one(canonicalPathPattern(r.Path), '/')
		}
		for _, q := range r.Query {
			m.query = append(m.query, queryMatch{key: q.Key, any: c.list(q.Any, '.')})
		}
	case ProtocolGraphQL:
		if r.OperationName != "" {
			m.operationName = c.one(r.OperationName, '.')
		}
		m.fields = c.list(r.Fields, '.')
	case ProtocolMCP, ProtocolJSONRPC:
		if len(r.Tool) > 0 {
			m.rpcMethod = c.one("tools/call", '.')
		} else if r.Method != "" && r.Method != "*" {
			m.rpcMethod = c.one(r.Method, '.')
		}
		m.tool, m.params = c.list(r.Tool, '.'), c.list(r.ParamsName, '.')
	}
	return m, c.err
}

// globCompiler keeps the first error of several patterns.
type globCompiler struct{ err *patternError }

func (c *globCompiler) one(pattern string, separator byte) *glob {
	g, err := compileGlob(pattern, separator)
	if err != nil && c.err == nil {
		c.err = &patternError{msg: "the pattern " + pattern + " " + err.msg, fix: err.fix}
	}
	return g
}

func (c *globCompiler) list(patterns []string, separator byte) []*glob {
	var out []*glob
	for _, p := range patterns {
		out = append(out, c.one(p, separator))
	}
	return out
}

func anyMatches(list []*glob, s string) bool {
	for _, g := range list {
		if g.match(s) {
			return true
		}
	}
	return false
}

// accessRules gives what an access preset stands for.
func accessRules(e *Endpoint) []ruleMatch {
	var out []ruleMatch
	add := func(m ruleMatch) {
		m.at = e.AccessAt
		out = append(out, m)
	}
	switch e.Protocol {
	case ProtocolREST:
		for _, method := range restMethods(e.Access) {
			add(ruleMatch{method: method})
		}
	case ProtocolWebSocket:
		for _, method := range webSocketMethods(e.Access) {
			add(ruleMatch{method: method})
		}
	case ProtocolGraphQL:
		for _, operation := range graphQLOperations(e.Access) {
			add(ruleMatch{operationType: operation})
		}
	}
	return out
}

// restMethods: read-write has no DELETE, as in the format.
func restMethods(a Access) []string {
	switch a {
	case AccessReadOnly:
		return []string{"GET", "HEAD", "OPTIONS"}
	case AccessReadWrite:
		return []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"}
	case AccessFull:
		return []string{"*"}
	}
	return nil
}

// webSocketMethods: read-only is the upgrade, the others also send text.
func webSocketMethods(a Access) []string {
	switch a {
	case AccessReadOnly:
		return []string{"GET"}
	case AccessReadWrite, AccessFull:
		return []string{"GET", methodText}
	}
	return nil
}

func graphQLOperations(a Access) []string {
	switch a {
	case AccessReadOnly:
		return []string{"query"}
	case AccessReadWrite:
		return []string{"query", "mutation"}
	case AccessFull:
		return []string{"*"}
	}
	return nil
}

// near ranks how far a request came with a rule, for the reason of a denial.
type near uint8

const (
	nearNothing near = iota
	nearMethod
	nearPath // the path fits, the method does not: the more useful hint
	nearQuery
	nearAll
)

// http matches a REST or WebSocket rule. A deny compares methods without case,
// because a server may do so; an allow compares exactly.
func (m *ruleMatch) http(method, path, query string, deny bool) near {
	if m.never {
		return nearNothing
	}
	methodOK := m.methodMatches(method, deny)
	pathOK := m.path == nil || m.path.match(path)
	switch {
	case !methodOK && !pathOK:
		return nearNothing
	case !pathOK:
		return nearMethod
	case !methodOK:
		return nearPath
	}
	for i := range m.query {
		if !m.query[i].match(query, deny) {
			return nearQuery
		}
	}
	return nearAll
}

// methodMatches: GET also covers HEAD. A binary message is never meant by "*".
func (m *ruleMatch) methodMatches(method string, deny bool) bool {
	if m.method == "" || m.method == "*" {
		return deny || method != methodBinary
	}
	if m.method == method || m.method == "GET" && method == "HEAD" {
		return true
	}
	return deny && (strings.EqualFold(m.method, method) || m.method == "GET" && strings.EqualFold(method, "HEAD"))
}

// match looks at every value of the key: in an allow each must match and one
// must be there, in a deny one that matches is enough.
func (q *queryMatch) match(raw string, deny bool) bool {
	found := false
	for len(raw) > 0 {
		var pair string
		pair, raw, _ = cutByte(raw, '&')
		if pair == "" {
			continue
		}
		k, v, _ := cutByte(pair, '=')
		key, ok := queryUnescape(k)
		if !ok {
			return false // the request is refused as malformed before
		}
		if key != q.key {
			continue
		}
		value, ok := queryUnescape(v)
		if !ok {
			return false
		}
		if matched := anyMatches(q.any, value); matched == deny {
			return deny
		}
		found = true
	}
	return found && !deny
}

// queryUnescape decodes a key or value; it allocates only where something is
// escaped.
func queryUnescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, true
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '+':
			b.WriteByte(' ')
		case '%':
			v, ok := unhex(s, i)
			if !ok {
				return "", false
			}
			b.WriteByte(v)
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), true
}

// wellFormedQuery refuses what servers split in different ways: a semicolon, a
// broken escape, a raw control character.
func wellFormedQuery(raw string) bool {
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == ';' || c < ' ' || c == 0x7f || c == '#':
			return false
		case c == '%':
			if _, ok := unhex(raw, i); !ok {
				return false
			}
		}
	}
	return true
}

// graphQL matches one operation. In an allow every root field must be named,
// in a deny one is enough; a name that is missing fails an allow and escapes a
// deny.
func (m *ruleMatch) graphQL(o *GraphQLOperation, deny bool) bool {
	if m.operationType != "" && m.operationType != "*" && m.operationType != o.Type {
		return false
	}
	if m.operationName != nil && (o.Name == "" && !m.operationName.all || !m.operationName.match(o.Name)) {
		return false
	}
	if m.fields == nil {
		return true
	}
	for _, f := range o.Fields {
		if anyMatches(m.fields, f) == deny {
			return deny
		}
	}
	return !deny && len(o.Fields) > 0
}

// rpc matches one call.
func (m *ruleMatch) rpc(c *RPCCall) bool {
	if m.rpcMethod != nil && !m.rpcMethod.match(c.Method) {
		return false
	}
	if m.tool != nil && !anyMatches(m.tool, c.Tool) {
		return false
	}
	return m.params == nil || anyMatches(m.params, c.Name)
}
