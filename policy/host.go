package policy

import (
	"net/netip"
	"strings"
)

// maxHost is the length of a DNS name in its text form.
const maxHost = 253

// CanonicalHost gives the form in which hosts are compared: lower case, no
// trailing dot, an address as netip prints it, without a zone. ok is false for
// what is neither a DNS name nor an address; such a host is on no list.
func CanonicalHost(host string) (canonical string, ok bool) {
	if len(host) > maxHost+2 || host == "" {
		return "", false
	}
	if a, isAddr := parseHostAddress(host); isAddr {
		return a.String(), true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if len(host) > maxHost || numericLast(host) {
		return "", false
	}
	for rest, more := host, true; more; {
		var label string
		label, rest, more = strings.Cut(rest, ".")
		if !isLabel(label) {
			return "", false
		}
	}
	return host, true
}

// parseHostAddress reads an address, in brackets or not. A zone is refused.
func parseHostAddress(host string) (netip.Addr, bool) {
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	a, err := netip.ParseAddr(host)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// isAddress reports whether a canonical host is an address.
func isAddress(host string) bool {
	if !looksLikeAddress(host) {
		return false
	}
	_, ok := parseHostAddress(host)
	return ok
}

// looksLikeAddress is a quick no for nearly every name: an address ends in a
// digit or has a colon. (netip.ParseAddr allocates its error.)
func looksLikeAddress(host string) bool {
	if host == "" {
		return false
	}
	last := host[len(host)-1]
	return last >= '0' && last <= '9' || strings.IndexByte(host, ':') >= 0
}

// numericLast reports whether the last label is a number. Some resolvers read
// such names as addresses: 127.1, 0x7f.1 (WHATWG URL, "ends in a number").
func numericLast(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if strings.HasPrefix(last, "0x") {
		return true
	}
	for i := 0; i < len(last); i++ {
		if last[i] < '0' || last[i] > '9' {
			return false
		}
	}
	return last != ""
}

// isLabel accepts letters, digits, hyphens and underscores. Underscores occur
// in service names.
func isLabel(label string) bool {
	if label == "" || len(label) > 63 {
		return false
	}
	for i := 0; i < len(label); i++ {
		c := label[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// canonicalPattern checks a host of a policy, exact or wildcard, and gives its
// canonical form.
func canonicalPattern(host string) (string, *patternError) {
	if !strings.Contains(host, "*") {
		canonical, ok := CanonicalHost(host)
		if !ok {
			return "", &patternError{"is neither a DNS name nor an address", "write name.example.com, without scheme, port or path (other alphabets as xn--…)"}
		}
		return canonical, nil
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	labels := strings.Split(host, ".")
	if host == "*" || host == "**" {
		return "", &patternError{"would match every host", "name the domain: *.example.com"}
	}
	if len(host) > maxHost || len(labels) < 2 || len(labels) == 2 && (labels[0] == "*" || labels[0] == "**") {
		return "", &patternError{"covers a whole top-level domain", "name the domain: *.example.com"}
	}
	for i, label := range labels {
		if err := checkWildLabel(label, i, len(labels)); err != nil {
			return "", err
		}
	}
	if numericLast(host) {
		return "", &patternError{"looks like an address with a wildcard", "use allowed_ips for ranges"}
	}
	return host, nil
}

// checkWildLabel checks one label of a wildcard host.
func checkWildLabel(label string, i, n int) *patternError {
	switch {
	case label == "**" && i > 0:
		return &patternError{"has ** after the first label", "** is only allowed as the whole first label"}
	case strings.Contains(label, "**") && label != "**":
		return &patternError{"has ** inside a label", "** is only allowed as the whole first label"}
	case strings.Contains(label, "*") && i == n-1:
		return &patternError{"has a wildcard in the last label", "name the domain: *.example.com"}
	case i > 0 && label != "*" && strings.Contains(label, "*"):
		return &patternError{"has a wildcard inside a later label", "a later label is a name or exactly *"}
	case strings.Count(label, "*") > 4:
		return &patternError{"has too many wildcards", "write several hosts"}
	}
	if plain := strings.ReplaceAll(label, "*", ""); plain != "" && !isLabel(plain) {
		return &patternError{"is not a DNS name", "write name.example.com, without scheme, port or path"}
	} else if plain == "" && !strings.Contains(label, "*") {
		return &patternError{"has an empty label", "write name.example.com"}
	}
	return nil
}

// hostMatches reports whether a canonical host falls under a canonical pattern.
// It is the plain reading of the rules; the matcher's trie must agree with it.
func hostMatches(pattern, host string) bool {
	if !strings.Contains(pattern, "*") {
		return pattern == host
	}
	if host == "" || isAddress(host) {
		return false
	}
	if rest, deep := strings.CutPrefix(pattern, "**."); deep {
		return deepMatches(rest, host)
	}
	return labelsMatch(pattern, host)
}

// deepMatches lets ** take one label or more.
func deepMatches(rest, host string) bool {
	for {
		_, tail, more := strings.Cut(host, ".")
		if !more {
			return false
		}
		host = tail
		if labelsMatch(rest, host) {
			return true
		}
	}
}

func labelsMatch(pattern, host string) bool {
	for {
		p, pRest, pMore := strings.Cut(pattern, ".")
		h, hRest, hMore := strings.Cut(host, ".")
		if pMore != hMore || h == "" || !matchWild(p, h) {
			return false
		}
		if !pMore {
			return true
		}
		pattern, host = pRest, hRest
	}
}

// hostsOverlap reports whether some host falls under both patterns. It may say
// yes too often only for two different patterns inside one label.
func hostsOverlap(a, b string) bool {
	aWild, bWild := strings.Contains(a, "*"), strings.Contains(b, "*")
	switch {
	case !aWild:
		return hostMatches(b, a)
	case !bWild:
		return hostMatches(a, b)
	}
	aRest, aDeep := strings.CutPrefix(a, "**.")
	bRest, bDeep := strings.CutPrefix(b, "**.")
	al, bl := strings.Split(aRest, "."), strings.Split(bRest, ".")
	if !aDeep && !bDeep && len(al) != len(bl) {
		return false
	}
	if aDeep && !bDeep && len(bl) <= len(al) || bDeep && !aDeep && len(al) <= len(bl) {
		return false
	}
	for i := 1; i <= min(len(al), len(bl)); i++ {
		if !labelsOverlap(al[len(al)-i], bl[len(bl)-i]) {
			return false
		}
	}
	return true
}

// labelsOverlap compares one label of two patterns.
func labelsOverlap(a, b string) bool {
	aWild, bWild := strings.Contains(a, "*"), strings.Contains(b, "*")
	switch {
	case !aWild && !bWild:
		return a == b
	case !aWild:
		return matchWild(b, a)
	case !bWild:
		return matchWild(a, b)
	}
	return affixesOverlap(a, b)
}

// affixesOverlap says no only where the fixed starts or ends of two patterns
// contradict each other.
func affixesOverlap(a, b string) bool {
	ap, bp := a[:strings.IndexByte(a, '*')], b[:strings.IndexByte(b, '*')]
	as, bs := a[strings.LastIndexByte(a, '*')+1:], b[strings.LastIndexByte(b, '*')+1:]
	return (strings.HasPrefix(ap, bp) || strings.HasPrefix(bp, ap)) &&
		(strings.HasSuffix(as, bs) || strings.HasSuffix(bs, as))
}
