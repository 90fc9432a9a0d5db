package plan

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/nemoclaw/nemoclaw/policy"
)

// Paths inside the container where the sandbox's authority lies. /dev is the
// one directory that every engine makes afresh, in memory, for each container:
// nothing is created in the image's layer.
const (
	CertificatePath = "/dev/nemoclaw/ca.crt"
	BundlePath      = "/dev/nemoclaw/ca-bundle.crt"
)

func resolveNetwork(in *Input, p *Plan) {
	p.Network.Ingress = []Port{}
	p.Network.Rules = networkRules(in.Effective)
	switch in.Facts.Spec.Network {
	case NamespaceNew:
		p.Network.Fence, p.Network.Policed = FenceNew, true
	case NamespacePath:
		p.Network.Fence, p.Network.Policed = FenceJoin, true
	default: // refused already, unless the operator allows it
		p.Network.Fence = FenceAbsent
		p.weaken("every network rule", "the operator's configuration allows the host's network, which has no fence", "")
		return
	}
	for _, port := range in.Facts.Engine.Published {
		p.Network.Ingress = append(p.Network.Ingress, Port{port, "tcp", Source{Why: "published by the operator"}})
	}
	if in.Effective.Nemoclaw != nil {
		for _, i := range in.Effective.Nemoclaw.Ingress {
			p.Network.Ingress = append(p.Network.Ingress, Port{i.Port, "tcp", Source{At: i.At.String(), Why: "nemoclaw.ingress"}})
		}
	}
	slices.SortStableFunc(p.Network.Ingress, func(a, b Port) int { return cmp.Compare(a.Port, b.Port) })
	p.Network.Ingress = slices.CompactFunc(p.Network.Ingress, func(a, b Port) bool { return a.Port == b.Port })
}

func networkRules(doc *policy.Document) []NetworkRule {
	out := []NetworkRule{}
	for _, r := range doc.Network {
		rule := NetworkRule{Name: r.Key, Hosts: []string{}, From: Source{At: r.At.String(), Why: "network_policies"}}
		for _, e := range r.Endpoints {
			rule.Hosts = append(rule.Hosts, endpointName(e))
		}
		out = append(out, rule)
	}
	return out
}

// resolveTrust decides where the authority's certificate goes. Without a rule
// there is nothing to inspect, and a refusal over TLS needs no trust to fail.
func resolveTrust(in *Input, p *Plan) {
	if !p.Network.Policed || len(p.Network.Rules) == 0 {
		return
	}
	p.Trust.Bundles = slices.Clone(in.Facts.TrustBundles)
	bundle := ""
	if len(p.Trust.Bundles) > 0 {
		bundle = p.Trust.Bundles[0]
	}
	if in.Facts.Spec.PrivateDev {
		p.Trust.Certificate = CertificatePath
		if bundle == "" {
			bundle = BundlePath
		}
	}
	p.Process.Environment = trustEnvironment(p.Trust.Certificate, bundle)
	for _, name := range trustPaths(p) {
		p.grant(name, ReadOnly, true, Source{Why: "the sandbox's own authority"})
	}
	p.Filesystem.Rules = normalise(p.Filesystem.Rules)
}

func trustPaths(p *Plan) []string {
	out := slices.Clone(p.Trust.Bundles)
	if p.Trust.Certificate != "" {
		out = append(out, CertificatePath, BundlePath)
	}
	return out
}

// trustEnvironment names the variables that tools read: those that replace a
// tool's roots get the whole bundle, those that add to them the one certificate.
func trustEnvironment(cert, bundle string) []string {
	var out []string
	if bundle != "" {
		for _, name := range []string{"AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"} {
			out = append(out, name+"="+bundle)
		}
	}
	if cert == "" {
		cert = bundle
	}
	if cert != "" {
		out = append(out, "DENO_CERT="+cert, "NODE_EXTRA_CA_CERTS="+cert)
	}
	return out
}

// endpointName writes an endpoint as people do: host:port.
func endpointName(e policy.Endpoint) string {
	host := e.Host
	if host == "" {
		host = "allowed_ips"
	}
	for i, port := range e.Ports {
		sep := ":"
		if i > 0 {
			sep = ","
		}
		host += sep + strconv.Itoa(int(port))
	}
	return host
}
