// Package sandbox holds what is kept on disk of one sandbox, and the messages
// that the runtime, the broker and the supervisor exchange.
//
// # Layout
//
// Everything lies under the host configuration's run_dir, owned by root, mode
// 0700, on a file system that does not outlive a boot:
//
//	sandboxes/<hash of --root>-<id>/   one container (Dir)
//	    plan.json                      what was decided, written before anything exists
//	    enforced.json                  what was carried out: resolved paths, ABI, skipped rules
//	    ca.crt, bundle-N.crt           the files that are mounted over the image's trust store
//	supervisors/<slot>/                one network namespace's broker and supervisor (Slot)
//	    control.sock                   root only; see Request
//	netns/<cookie>                     symbolic link to the slot that serves this namespace
//	netns/<cookie>.lock                flock held while the namespace's fence is made or taken down
//
// The cookie is SO_NETNS_COOKIE's: unlike an inode number, the kernel never
// gives it out twice in one boot.
//
// # Messages
//
// A Conn carries JSON messages with a length in front and file descriptors
// beside them. A broker is started with its end of a socketpair as fd 3 and is
// sent one Start on it; it answers Started. From then on it listens on its
// slot's control.sock, one Request and one Reply per connection. Broker and
// supervisor share another socketpair with messages of their own.
package sandbox
