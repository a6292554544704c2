package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// age is a flag that says how long ago, in days too: 90d, 12h, 1d12h.
type age time.Duration

var _ pflag.Value = (*age)(nil)

const day = 24 * time.Hour

// Set implements pflag.Value.
func (a *age) Set(text string) error {
	wrong := fmt.Errorf("%q is no age: write 90d, 12h or 1d12h", text)
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil || n > uint64(math.MaxInt64/day) {
		return wrong
	}
	d := time.Duration(n) * day
	if rest != "" {
		hours, err := time.ParseDuration(rest)
		if err != nil || hours < 0 || hours > math.MaxInt64-d {
			return wrong
		}
		d += hours
	}
	if d == 0 {
		return fmt.Errorf("an age is more than %s", text)
	}
	*a = age(d)
	return nil
}

// String implements pflag.Value.
func (a *age) String() string {
	if *a == 0 {
		return ""
	}
	return time.Duration(*a).String()
}

// Type implements pflag.Value.
func (a *age) Type() string { return "age" }
