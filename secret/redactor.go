package secret

import "sync"

// Redactor masks known secrets in what is written. The zero Redactor knows
// none; a nil one takes and masks nothing.
type Redactor struct{ mu sync.Mutex }

// Add makes a value known from now on.
func (r *Redactor) Add(Value) {}
