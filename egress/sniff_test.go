package egress

import (
	"testing"
)

func TestClassify(t *testing.T) {
	for in, want := range map[string]speech{
		"":                                 speechUnknown,
		"G":                                speechUnknown,
		"GET / HTTP/1.1\r\n":               speechHTTP,
		"get / http/1.1\n":                 speechHTTP,
		"\r\n\r\nGET / HTTP/1.1\r\n":       speechHTTP,
		"PRI * HTTP/2.0\r\n":               speechHTTP,
		" GET / HTTP/1.1\r\n":              speechHTTP,
		"GET /\r\n":                        speechOther,
		"SSH-2.0-OpenSSH_9.2p1 Debian\r\n": speechOther,
		"EHLO a\r\n":                       speechOther,
		"\x00":                             speechOther,
		"ab\x00":                           speechOther,
		"\x16":                             speechTLS,
		"\x16\x03\x01":                     speechTLS,
		"\x16\x02":                         speechOther,
		"\r\n":                             speechUnknown,
	} {
		if got := classify([]byte(in)); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// What is clear stays so when more comes.
		if k := classify(b); k != speechUnknown && len(b) > 1 {
			if again := classify(append(b[:len(b):len(b)], "\r\nHTTP/"...)); k == speechOther && again == speechHTTP {
				t.Errorf("%q was other and became HTTP", b)
			}
		}
	})
}
