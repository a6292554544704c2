// Package do manages the resources of DigitalOcean: it is the provider that
// the program workflow-plugin-digitalocean serves.
//
// A resource type is a file: its configuration (a portable struct of sdk/infra
// with what this platform adds), a driver of a few methods that each are about
// one thing, and a line in the table of types.go. All that types share lives
// once, in typed: whose a resource is, finding it again after a connection was
// lost, adopting it, waiting, retrying what is still in use, reading back
// what has drifted.
//
// It does not keep anything: what it knows, it asks.
package do
