//go:build unix

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func collect(t *testing.T, dir string, q LogQuery) []string {
	t.Helper()
	var lines []string
	err := ReadLog(t.Context(), dir, "web", q, func(l LogLine) error {
		lines = append(lines, l.Text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestLogsRotateAndAreReadInOrder(t *testing.T) {
	dir := t.TempDir()
	l, err := openLog(dir, "web", 2000, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for i := range 200 {
		l.write("web.1", fmt.Sprint(i))
	}
	all := collect(t, dir, LogQuery{})
	if len(all) < 100 || all[len(all)-1] != "199" {
		t.Fatalf("%d lines, last %q", len(all), all[len(all)-1])
	}
	for i, text := range all {
		if want := fmt.Sprint(200 - len(all) + i); text != want {
			t.Fatalf("line %d is %q, want %q", i, text, want)
		}
	}
	if last := collect(t, dir, LogQuery{Tail: 60}); len(last) != 60 || last[0] != "140" {
		t.Errorf("the tail is %q", last)
	}
	if _, err := os.Stat(LogPath(dir, "web") + ".4"); !errors.Is(err, os.ErrNotExist) {
		t.Error("more old logs are kept than should be")
	}
}

func TestSinceAndNoLog(t *testing.T) {
	dir := t.TempDir()
	if lines := collect(t, dir, LogQuery{}); lines != nil {
		t.Errorf("no log has lines: %q", lines)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l, err := openLog(dir, "web", logSize, func() time.Time { now = now.Add(time.Second); return now })
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for i := range 10 {
		l.write("web.1", fmt.Sprint(i))
	}
	if lines := collect(t, dir, LogQuery{Since: now.Add(-2 * time.Second)}); len(lines) != 3 || lines[0] != "7" {
		t.Errorf("got %q", lines)
	}
}

func TestFollowingSeesEveryLineOverRotations(t *testing.T) {
	dir := t.TempDir()
	l, err := openLog(dir, "web", 50_000, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	const total = 1000
	go func() {
		tick := time.NewTicker(100 * time.Microsecond)
		defer tick.Stop()
		for i := range total {
			<-tick.C
			l.write("web.1", fmt.Sprintf("%d %s", i, strings.Repeat("x", 100)))
		}
	}()
	next := 0
	err = ReadLog(ctx, dir, "web", LogQuery{Follow: true}, func(line LogLine) error {
		var n int
		if _, err := fmt.Sscan(line.Text, &n); err != nil || n != next || line.Source != "web.1" {
			return fmt.Errorf("line %+v, want number %d", line, next)
		}
		if next++; next == total {
			cancel()
		}
		return nil
	})
	if err != nil || next != total {
		t.Errorf("%v after %d lines", err, next)
	}
}

func TestALiveLogIsFollowed(t *testing.T) {
	b := newBench(t, "--logsize", "20000")
	spec := b.app("web", "tick")
	spec.Listen, spec.Ready = nil, Probe{Settle: 20 * time.Millisecond}
	b.apply(b.connect(), spec)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	if err := ReadLog(ctx, b.cfg.Dir, "web", LogQuery{Follow: true}, func(l LogLine) error {
		if want := fmt.Sprintf("tick %d", n); l.Text != want {
			return fmt.Errorf("got %q, want %q", l.Text, want)
		}
		if n++; n == 100 {
			cancel()
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestLinesSurviveTheLog(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[^\n\r]{0,80}`).Draw(rt, "text")
		stamp := time.Date(2026, 5, 4, 3, 2, 1, 7000, time.UTC)
		got := parseLine(stamp.Format(logTime) + " web.1 " + text)
		if got.Text != text || got.Source != "web.1" || !got.Time.Equal(stamp) {
			rt.Fatalf("%+v", got)
		}
	})
}

func TestLongLinesComeInPieces(t *testing.T) {
	var got strings.Builder
	<-copyLines(strings.NewReader(strings.Repeat("y", 3*maxLine)+"\nend"), func(s string) { got.WriteString(s + ";") })
	if want := 3*maxLine + len(";;;;end;"); got.Len() < want-1 || !strings.HasSuffix(got.String(), ";end;") {
		t.Errorf("got %d bytes", got.Len())
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add("2026-01-01T00:00:00.000000Z web.1 text")
	f.Add(" ")
	f.Fuzz(func(_ *testing.T, s string) { parseLine(s) })
}

func TestSecretsOfAJobAreNotLogged(t *testing.T) {
	b := newBench(t)
	const secret = "s3cr3t-of-the-job\nand its second line"
	var events []string
	err := b.connect().Job(t.Context(), Spec{
		Name: "job", Command: []string{"/bin/sh", "-c", `echo "to $TOKEN"; echo "from $TOKEN" >&2; exit 1`}, Dir: b.cfg.Dir,
		Env: []string{"TOKEN=" + secret, "PATH=/usr/bin:/bin"}, Secrets: []string{secret}, Ready: Probe{Timeout: time.Minute},
	}, func(e Event) { events = append(events, e.Log) })
	if err == nil {
		t.Fatal("no error")
	}
	for where, text := range map[string]string{"error": err.Error(), "events": strings.Join(events, "\n")} {
		if strings.Contains(text, "s3cr3t") || strings.Contains(text, "second line") || !strings.Contains(text, "to ***MASKED***") {
			t.Errorf("%s: %s", where, text)
		}
	}
	raw, err := os.ReadFile(LogPath(b.cfg.Dir, "job"))
	if err != nil || strings.Contains(string(raw), "s3cr3t") || !strings.Contains(string(raw), "from ***MASKED***") {
		t.Errorf("%v, the log: %s", err, raw)
	}
}
