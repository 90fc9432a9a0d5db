// Command quickworld is the quickstart's engine for machines that have none, or
// no internet: Debian's Docker in namespaces of its own, with a stand-in for
// the internet on the other end of a wire. It runs until it is told to stop.
//
//	quickworld -dir DIR -runtime /usr/local/bin/nemoclaw-runtime -forward 127.0.0.1:18789 -name docs.openclaw.ai
//
// When everything answers it writes DIR/ready, lines of NAME=VALUE for a shell.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

func main() {
	dir := flag.String("dir", "", "where the engine keeps its data")
	runtime := flag.String("runtime", "", "the installed nemoclaw-runtime")
	forward := flag.String("forward", "", "address of this machine that leads to the same one in the engine's namespace")
	names := flag.String("name", "", "comma-separated names that the stand-in internet answers for")
	flag.Parse()
	if err := run(*dir, *runtime, *forward, strings.Split(*names, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "quickworld:", err)
		os.Exit(1)
	}
}

func run(dir, runtime, forward string, names []string) (err error) {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	w, err := lab.NewAt(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	for _, n := range names {
		w.Internet.DNS.Set(n, netip.MustParseAddr(lab.AllowedAddr4), netip.MustParseAddr(lab.AllowedAddr6))
	}
	e, err := w.Start(lab.Docker20, lab.Options{Runtime: runtime})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	l, err := net.Listen("tcp", forward)
	if err != nil {
		return err
	}
	defer l.Close()
	go serve(l, w, forward)
	ready := filepath.Join(dir, "ready")
	text := fmt.Sprintf("pid=%d\nholder=%d\nsock=%s\nconfig_file=%s\n", os.Getpid(), w.Holder(), e.Sock(), e.Config)
	if err := os.WriteFile(ready+".new", []byte(text), 0o644); err != nil {
		return err
	}
	if err := os.Rename(ready+".new", ready); err != nil {
		return err
	}
	defer os.Remove(ready)
	<-end
	return nil
}

// serve relays connections to the same address in the engine's namespace.
func serve(l net.Listener, w *lab.World, addr string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go relay(c.(*net.TCPConn), w, addr)
	}
}

func relay(c *net.TCPConn, w *lab.World, addr string) {
	defer c.Close()
	var up net.Conn
	err := w.InEngine(func() (err error) {
		up, err = net.Dial("tcp", addr)
		return err
	})
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		io.Copy(up, c)
		up.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(c, up)
	c.CloseWrite()
}
