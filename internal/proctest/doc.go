// Package proctest looks at processes, for tests of what must not outlive them.
package proctest
