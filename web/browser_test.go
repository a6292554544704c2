//go:build services

package web_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/gocodealone/wfctl/event"
)

// browser starts a headless Chromium: WFCTL_TEST_CHROMIUM or one on PATH.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := os.Getenv("WFCTL_TEST_CHROMIUM")
	if path == "" {
		path, _ = exec.LookPath("chromium")
	}
	switch {
	case path == "" && os.Getenv("CI") == "true":
		t.Fatal("WFCTL_TEST_CHROMIUM is not set, and there is no chromium")
	case path == "":
		t.Skip("there is no chromium: scripts/services start chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1280, 900))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// shot keeps a screenshot where somebody asked for them.
func shot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("WFCTL_TEST_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The browser follows a run live, reloads in the middle, approves a gate, and
// sees all events once, in order.
func TestBrowserFollowsARun(t *testing.T) {
	s := serve(t)
	ctx := browser(t)
	s.begin(t)
	has := func(what, want string) {
		t.Helper()
		var err error
		for range 20 { // a page that is being left ends the look at it
			if _, err = chromedp.Run(ctx, chromedp.Poll[bool](fmt.Sprintf("(%s) === %q", what, want), chromedp.WithPollingTimeout(5*time.Second))); err == nil {
				return
			}
			if !strings.Contains(err.Error(), "navigated") && !strings.Contains(err.Error(), "context with specified id") {
				break
			}
		}
		got, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+what+")"))
		t.Fatalf("%s is %q, want %q: %v", what, got, want, err)
	}
	if err := do(ctx, chromedp.Navigate(s.server.URL()), chromedp.WaitVisible("table"), chromedp.Click("tbody a"), chromedp.WaitVisible("#timeline")); err != nil {
		t.Fatal(err)
	}
	status := func(step string) string {
		return fmt.Sprintf("document.querySelector('[data-step=%q] .status')?.textContent", step)
	}
	log := "document.querySelector('[data-step=\"build\"] .log').textContent"
	has(status("build"), "running")
	has("document.getElementById('live').textContent", "Live: what happens shows here.")
	var want strings.Builder
	want.WriteString("compiling <b>&\n")
	for i := range 50 {
		fmt.Fprintf(&want, "line %d\n", i)
		s.add(t, event.NodeLog{Address: "build", Line: fmt.Sprintf("line %d", i)})
		if i == 25 {
			if err := do(ctx, chromedp.Reload(), chromedp.WaitVisible("#timeline")); err != nil {
				t.Fatal(err)
			}
		}
	}
	has(log, want.String())
	shot(t, ctx, "run-live")
	s.add(t, event.NodeStarted{Address: "db", Parent: "build", Action: "create", Type: "infra.database", At: at.Add(time.Second)},
		event.NodeFinished{Address: "db", Parent: "build", Outcome: event.Done, At: at.Add(2 * time.Second)},
		event.NodeFinished{Address: "build", Outcome: event.Done, At: at.Add(3 * time.Second)},
		event.NodeStarted{Address: "gate", Action: "run", Type: "approval", At: at.Add(3 * time.Second)},
		event.ApprovalRequested{Address: "gate", Message: "Release 2.0?", At: at.Add(3 * time.Second)})
	has(status("db"), "done")
	has(status("gate"), "waiting")
	shot(t, ctx, "run-waiting")
	if err := do(ctx, chromedp.Click(`button[value="approve"]`), chromedp.WaitVisible("#timeline")); err != nil {
		t.Fatal(err)
	}
	has(status("gate"), "running")
	tl, err := s.store.Timeline(t.Context(), "r1")
	if err != nil || tl.Step("", "gate").Message != "approved by ann" {
		t.Fatalf("%+v, %v", tl, err)
	}
	s.add(t, event.NodeFinished{Address: "gate", Outcome: event.Done, At: at.Add(4 * time.Second)}, event.RunFinished{Run: "r1", Done: 2, At: at.Add(5 * time.Second)})
	has("document.querySelector('#run-status').textContent", "done")
	has("document.getElementById('live').textContent", "The run is over.")
	has(log, want.String())
	// A bar lies where the times say: the part took the second of five.
	has("Math.round(Number(document.querySelector('[data-step=\"db\"] rect').getAttribute('x'))) + ''", "200")
	shot(t, ctx, "run-over")
	s.beginOf(t, "other", "shop")
	if err := do(ctx, chromedp.Navigate(s.URL+"/"), chromedp.WaitVisible("table")); err != nil {
		t.Fatal(err)
	}
	projects := "[...document.querySelectorAll('tbody td:nth-child(2)')].map((td) => td.textContent).join(' ')"
	has(projects, "shop p")
	if err := do(ctx, chromedp.SetValue("#project", "shop"), chromedp.Click(".filter button"), chromedp.WaitVisible("table")); err != nil {
		t.Fatal(err)
	}
	has(projects, "shop")
	has("document.getElementById('project').value", "shop")
	for _, dark := range []bool{false, true} {
		for _, path := range []string{"/", "/resources", "/resources/db", "/runs/r1"} {
			s.look(t, ctx, path, dark)
		}
	}
}

// contrast finds texts whose contrast is below WCAG AA's 4.5, and controls
// without a name.
const contrast = `(() => {
  const lum = (c) => { const v = c.map((x) => { x /= 255; return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; }); return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
  const rgb = (s) => { const m = s.match(/[\d.]+/g); return m && (m.length < 4 || Number(m[3]) > 0) ? m.slice(0, 3).map(Number) : null; };
  const ground = (el) => { for (; el; el = el.parentElement) { const c = rgb(getComputedStyle(el).backgroundColor); if (c) return c; } return [255, 255, 255]; };
  const bad = [];
  for (const el of document.querySelectorAll("body *")) {
    const own = [...el.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || el.closest("noscript, .skip, svg") || !el.checkVisibility()) continue;
    const a = lum(rgb(getComputedStyle(el).color)), b = lum(ground(el));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push(el.className + " " + el.textContent.trim().slice(0, 20) + " " + ratio.toFixed(2));
  }
  for (const el of document.querySelectorAll("a, button, select, input:not([type=hidden])")) {
    if (!(el.textContent.trim() || el.getAttribute("aria-label") || (el.labels && el.labels.length))) bad.push("no name: " + el.outerHTML.slice(0, 60));
  }
  if (!document.documentElement.lang || document.querySelectorAll("h1").length !== 1 || !document.querySelector("main")) bad.push("landmarks");
  const outside = performance.getEntriesByType("resource").map((r) => r.name).filter((n) => !n.startsWith(location.origin));
  return bad.concat(outside).join("; ");
})()`

func (s *site) look(t *testing.T, ctx context.Context, path string, dark bool) {
	t.Helper()
	scheme := map[bool]string{false: "light", true: "dark"}[dark]
	if err := do(ctx, emulate(scheme), chromedp.Navigate(s.URL+path), chromedp.WaitVisible("main")); err != nil {
		t.Fatal(err)
	}
	bad, err := chromedp.Run(ctx, chromedp.Evaluate[string](contrast))
	if err != nil || bad != "" {
		t.Errorf("%s in %s: %s %v", path, scheme, bad, err)
	}
	shot(t, ctx, scheme+strings.ReplaceAll(path, "/", "-"))
}
