package ui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Confirm asks for a literal yes. Anything else, and the end of input, is no.
// It returns early when ctx ends; the read of the terminal then stays behind
// until the process ends.
func Confirm(ctx context.Context, in io.Reader, out io.Writer, question string) (bool, error) {
	if _, err := fmt.Fprintf(out, "%s Only 'yes' is accepted: ", question); err != nil {
		return false, err
	}
	if f, ok := out.(interface{ Flush() error }); ok { // a writer may hold back the end of a question
		if err := f.Flush(); err != nil {
			return false, err
		}
	}
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := bufio.NewReader(in).ReadString('\n')
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil && !errors.Is(a.err, io.EOF) {
			return false, a.err
		}
		return strings.TrimSpace(a.text) == "yes", nil
	case <-ctx.Done():
		_, _ = fmt.Fprintln(out)
		return false, ctx.Err()
	}
}
