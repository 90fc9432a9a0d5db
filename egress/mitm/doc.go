// Package mitm reads what a TLS client asks for, and answers in a server's
// place: a certificate authority of one sandbox, whose key is in memory alone,
// and a leaf certificate per name, made when it is first needed.
package mitm
