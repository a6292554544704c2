package cli

import (
	"testing"
	"time"
)

func TestAge(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90d": 90 * day, "12h": 12 * time.Hour, "1d12h": day + 12*time.Hour, "2160h": 90 * day, "106751d": 106751 * day,
		"": 0, "0": 0, "0d": 0, "0s": 0, "d": 0, "-1d": 0, "-1h": 0, "1d-1h": 0, "1d-25h": 0, "90": 0, "90D": 0, "1.5d": 0, "106752d": 0, "106751d24h": 0, "1d1d": 0, "12h1d": 0, "+1d": 0,
	} {
		var a age
		err := a.Set(text)
		if time.Duration(a) != want || (err != nil) != (want == 0) {
			t.Errorf("%q is %s, want %s: %v", text, time.Duration(a), want, err)
		}
	}
}
