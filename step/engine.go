package step

// Scope narrows what a step of wfctl itself works on.
type Scope struct {
	Targets  []string
	Excludes []string
	// Approve allows what replaces or deletes.
	Approve bool
}

// An Output is one output of one resource.
type Output struct {
	Module, Field string
	Value         any
	Sensitive     bool
}
