// Package house holds the test that keeps the packages in their rooms: who
// may import whom, as docs/architecture.md tells it. It has no code.
package house
