// Package e2e holds the tests that take wfctl and the DigitalOcean plugin all
// the way against the fake of its API: an application from nothing to running
// and back to nothing, and the same in a cloud that fails at random. It is a
// module of its own, because nothing else may need both.
package e2e
