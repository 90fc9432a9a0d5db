package policy

// requestDecision decides one request among endpoints of which one inspects.
func requestDecision(hits []*endpoint, r *Request) Decision {
	path, ok := NormalizePath(r.Path, true)
	if !ok || r.Malformed != "" || !isToken(r.Method) || !wellFormedQuery(r.RawQuery) {
		return firstInspecting(hits).decision(Deny, ReasonMalformed, firstInspecting(hits).At)
	}
	best := mostSpecific(hits, path)
	if best == nil {
		e := firstInspecting(hits)
		return e.decision(Deny, ReasonPathNotAllowed, e.At)
	}
	q := question{r: r, path: path, hits: hits, best: best}
	if !best.AllowEncodedSlash && containsEncodedSlash(path) {
		return best.decision(Deny, ReasonMalformed, best.At)
	}
	switch best.Protocol {
	case ProtocolGraphQL:
		return q.graphQL()
	case ProtocolMCP, ProtocolJSONRPC:
		return q.rpc()
	case ProtocolWebSocket:
		return q.webSocket()
	}
	return q.http(r.Method)
}

// containsEncodedSlash looks for %2F in a normalised path.
func containsEncodedSlash(path string) bool {
	for i := 0; i+2 < len(path); i++ {
		if path[i] == '%' && path[i+1] == '2' && path[i+2] == 'F' {
			return true
		}
	}
	return false
}

func firstInspecting(hits []*endpoint) *endpoint {
	for _, e := range hits {
		if e.Protocol.Inspects() {
			return e
		}
	}
	return hits[0]
}

// mostSpecific gives the inspecting endpoint whose path selects the request
// most closely; others of the same specificity agree with it (disagreements).
func mostSpecific(hits []*endpoint, path string) *endpoint {
	var best *endpoint
	for _, e := range hits {
		if !e.selects(path) {
			continue
		}
		if best == nil || e.specificity > best.specificity || e.specificity == best.specificity && best.Clamped != "" {
			best = e
		}
	}
	return best
}

func (e *endpoint) selects(path string) bool {
	return e.Protocol.Inspects() && (e.selector == nil || e.selector.match(path))
}

// question is one request with the endpoints that answer it.
type question struct {
	r    *Request
	path string
	hits []*endpoint
	best *endpoint
}

// answers reports whether an endpoint is among those that decide: the most
// specific ones.
func (q *question) answers(e *endpoint) bool {
	return e.specificity == q.best.specificity && e.Protocol == q.best.Protocol && e.selects(q.path)
}

// refuse is the answer of an endpoint that no rule of which allows: audit mode
// forwards.
func (q *question) refuse(reason Reason, e *endpoint, at Position) Decision {
	if q.best.Clamped != "" {
		return q.best.decision(Deny, ReasonCeiling, q.best.At)
	}
	v := Deny
	if e.Enforcement != EnforcementEnforce {
		v = Audit
	}
	return e.decision(v, reason, at)
}

// refuseAlways is the answer to what no endpoint of the protocol can mean.
func (q *question) refuseAlways(reason Reason) Decision {
	return q.best.decision(Deny, reason, q.best.At)
}

// http decides by method, path and query.
func (q *question) http(method string) Decision {
	var allowed *ruleMatch
	var by *endpoint
	nearest, nearAt := nearNothing, q.best.At
	for _, e := range q.hits {
		if !q.answers(e) {
			continue
		}
		for i := range e.denies {
			if e.denies[i].http(method, q.path, q.r.RawQuery, true) == nearAll {
				return q.refuse(ReasonDeniedByRule, e, e.denies[i].at)
			}
		}
		if allowed != nil || e.Clamped != "" {
			continue
		}
		for i := range e.allows {
			n := e.allows[i].http(method, q.path, q.r.RawQuery, false)
			if n == nearAll {
				allowed, by = &e.allows[i], e
				break
			}
			if n > nearest {
				nearest, nearAt = n, e.allows[i].at
			}
		}
	}
	if allowed != nil {
		return by.decision(Allow, ReasonAllowed, allowed.at)
	}
	return q.refuse(nearest.reason(), q.best, nearAt)
}

// reason names what was missing.
func (n near) reason() Reason {
	switch n {
	case nearMethod:
		return ReasonPathNotAllowed
	case nearQuery:
		return ReasonQueryNotAllowed
	}
	return ReasonMethodNotAllowed
}

// webSocket decides the upgrade as GET and messages by our method names. A
// plain request is not what the endpoint is for.
func (q *question) webSocket() Decision {
	if q.r.Upgrade {
		return q.refuseAlways(ReasonProtocol)
	}
	switch q.r.WebSocket {
	case WebSocketUpgrade:
		return q.http("GET")
	case WebSocketText:
		return q.message(methodText)
	case WebSocketBinary:
		return q.message(methodBinary)
	}
	return q.refuse(ReasonProtocol, q.best, q.best.At)
}

func (q *question) message(method string) Decision {
	d := q.http(method)
	if d.Reason == ReasonMethodNotAllowed {
		d.Reason, d.Why = ReasonMessage, why(ReasonMessage)
	}
	return d
}

// graphQL decides every operation; all must be allowed.
func (q *question) graphQL() Decision {
	if q.r.Upgrade || q.r.WebSocket != WebSocketNone {
		return q.refuseAlways(ReasonProtocol)
	}
	if len(q.r.GraphQL) == 0 {
		return q.refuseAlways(ReasonMalformed)
	}
	var d Decision
	for i := range q.r.GraphQL {
		d = q.operation(&q.r.GraphQL[i])
		if d.Verdict != Allow {
			return d
		}
	}
	return d
}

func (q *question) operation(o *GraphQLOperation) Decision {
	if o.PersistedID != "" {
		registered, ok := q.best.PersistedQueries[o.PersistedID]
		if !ok {
			return q.refuse(ReasonOperation, q.best, q.best.At)
		}
		o = &GraphQLOperation{Type: registered.OperationType, Name: registered.OperationName, Fields: registered.Fields}
	}
	return q.each(func(m *ruleMatch, deny bool) bool { return m.graphQL(o, deny) }, ReasonOperation)
}

// each looks for a deny, then for an allow, by a predicate.
func (q *question) each(matches func(m *ruleMatch, deny bool) bool, missing Reason) Decision {
	var allowed *ruleMatch
	var by *endpoint
	for _, e := range q.hits {
		if !q.answers(e) {
			continue
		}
		for i := range e.denies {
			if matches(&e.denies[i], true) {
				return q.refuse(ReasonDeniedByRule, e, e.denies[i].at)
			}
		}
		if allowed != nil || e.Clamped != "" {
			continue
		}
		for i := range e.allows {
			if matches(&e.allows[i], false) {
				allowed, by = &e.allows[i], e
				break
			}
		}
	}
	if allowed != nil {
		return by.decision(Allow, ReasonAllowed, allowed.at)
	}
	return q.refuse(missing, q.best, q.best.At)
}

// rpc decides every call of a JSON-RPC or MCP body; all must be allowed. MCP's
// GET (the server's event stream) and DELETE (end of session) carry none.
func (q *question) rpc() Decision {
	mcp := q.best.Protocol == ProtocolMCP
	if q.r.Upgrade || q.r.WebSocket != WebSocketNone {
		return q.refuseAlways(ReasonProtocol)
	}
	if mcp && (q.r.Method == "GET" || q.r.Method == "DELETE") && len(q.r.RPC) == 0 {
		return q.session()
	}
	if q.r.Method != "POST" {
		return q.refuse(ReasonMethodNotAllowed, q.best, q.best.At)
	}
	if len(q.r.RPC) == 0 {
		return q.refuseAlways(ReasonMalformed)
	}
	if mcp && !q.versionAllowed() {
		return q.refuse(ReasonProtocol, q.best, q.best.At)
	}
	var d Decision
	for i := range q.r.RPC {
		d = q.call(&q.r.RPC[i], mcp)
		if d.Verdict != Allow {
			return d
		}
	}
	return d
}

// session allows what every MCP session needs, if the endpoint grants anything.
func (q *question) session() Decision {
	for _, e := range q.hits {
		if q.answers(e) && e.Clamped == "" && (len(e.allows) > 0 || e.MCP != nil && e.MCP.AllowAllKnownMCPMethods) {
			return e.decision(Allow, ReasonAllowed, e.At)
		}
	}
	return q.refuse(ReasonMethodNotAllowed, q.best, q.best.At)
}

func (q *question) versionAllowed() bool {
	if q.r.MCPVersion == "" || q.best.MCP == nil {
		return true
	}
	for _, v := range q.best.MCP.Versions {
		if v == q.r.MCPVersion {
			return true
		}
	}
	return false
}

func (q *question) call(c *RPCCall, mcp bool) Decision {
	missing := ReasonMethodNotAllowed
	if mcp {
		if c.Response {
			return q.session()
		}
		if c.Method == "tools/call" {
			missing = ReasonToolNotAllowed
			if q.best.MCP != nil && q.best.MCP.StrictToolNames && !strictToolName(c.Tool) {
				return q.refuseAlways(ReasonMalformed)
			}
		}
	}
	if c.Method == "" {
		return q.refuseAlways(ReasonMalformed)
	}
	d := q.each(func(m *ruleMatch, _ bool) bool { return m.rpc(c) }, missing)
	if d.Verdict != Allow && d.Reason != ReasonDeniedByRule && mcp && c.Method != "tools/call" && KnownMCPMethod(c.Method) {
		return q.knownMethod(d)
	}
	return d
}

// knownMethod allows a method of the protocol where the endpoint says so. Tools
// stay under the rules.
func (q *question) knownMethod(d Decision) Decision {
	for _, e := range q.hits {
		if q.answers(e) && e.Clamped == "" && e.MCP != nil && e.MCP.AllowAllKnownMCPMethods {
			return e.decision(Allow, ReasonAllowed, e.At)
		}
	}
	return d
}

// strictToolName is the form that MCP's specification recommends:
// ^[A-Za-z0-9_.-]{1,128}$.
func strictToolName(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// KnownMCPMethod reports whether a method belongs to the protocol
// (Model Context Protocol, schema of 2025-11-25, requests and notifications of
// the client).
func KnownMCPMethod(method string) bool {
	switch method {
	case "initialize", "ping", "tools/list", "tools/call", "resources/list", "resources/read",
		"resources/templates/list", "resources/subscribe", "resources/unsubscribe", "prompts/list", "prompts/get",
		"completion/complete", "logging/setLevel", "tasks/get", "tasks/result", "tasks/list", "tasks/cancel",
		"notifications/initialized", "notifications/cancelled", "notifications/progress",
		"notifications/roots/list_changed", "notifications/tasks/status":
		return true
	}
	return false
}
