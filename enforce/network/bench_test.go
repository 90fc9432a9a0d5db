package network_test

import (
	"testing"

	"github.com/nemoclaw/nemoclaw/enforce/network"
	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

// BenchmarkFence is what a create pays: sockets, rules and, at start, routes.
func BenchmarkFence(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		netns := kerneltest.Netns(b)
		b.StartTimer()
		if err := network.LoopbackUp(netns); err != nil {
			b.Fatal(err)
		}
		l, err := network.Listen(netns)
		if err != nil {
			b.Fatal(err)
		}
		if err := network.Apply(netns, network.Fence{Ports: l.Ports, Mark: testMark, IngressTCP: []uint16{80}}); err != nil {
			b.Fatal(err)
		}
		if _, err := network.AddLoopbackRoutes(netns); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		l.Close()
		netns.Close()
		b.StartTimer()
	}
}

func BenchmarkApply(b *testing.B) {
	netns := kerneltest.Netns(b)
	f := network.Fence{Ports: network.Ports{TCP4: 1, TCP6: 2, DNSUDP4: 3, DNSUDP6: 4, DNSTCP4: 5, DNSTCP6: 6}, Mark: testMark, IngressTCP: []uint16{80}}
	for b.Loop() {
		if err := network.Apply(netns, f); err != nil {
			b.Fatal(err)
		}
	}
}
