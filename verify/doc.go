// Package verify asks running services whether they work, again and again
// until they do or the time is up: HTTP, TCP, gRPC health and DNS. It shows
// what it saw (status, times, certificate, a redacted piece of the body) and
// changes nothing. It renders for no terminal.
package verify
