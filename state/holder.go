package state

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"
)

// Holder is who holds a lease.
type Holder struct {
	User    string    `json:"user,omitempty"`
	Host    string    `json:"host"`
	Boot    string    `json:"boot,omitempty"`
	PID     int       `json:"pid"`
	Started string    `json:"started,omitempty"`
	Run     string    `json:"run,omitempty"`
	Command string    `json:"command,omitempty"`
	Since   time.Time `json:"since"`
}

// Self describes this process.
func Self(run, command string, now time.Time) Holder {
	h := Holder{PID: os.Getpid(), Boot: bootID(), Started: processStart(os.Getpid()), Run: run, Command: command, Since: now}
	h.Host, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		h.User = u.Username
	}
	return h
}

// String names the holder: user@host, process 12 (wfctl up), since 10:00:00.
func (h *Holder) String() string {
	if h == nil {
		return "nobody"
	}
	s := fmt.Sprintf("%s@%s, process %d", h.User, h.Host, h.PID)
	if h.Command != "" {
		s += " (wfctl " + h.Command + ")"
	}
	return s + ", since " + h.Since.Format(time.RFC3339)
}

// gone tells whether the holder is known to be dead: it ran on this machine,
// and this boot, or this list of processes, does not have it any more. A
// holder elsewhere, or a machine that cannot tell, gives false.
func (h *Holder) gone() bool {
	host, err := os.Hostname()
	if err != nil || h.Host != host || h.Boot == "" || h.Started == "" {
		return false
	}
	if boot := bootID(); boot != h.Boot {
		return boot != ""
	}
	return processStart(h.PID) != h.Started
}

// bootID identifies this boot of the machine; "" where the system does not say.
func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// processStart is when a process started, in the system's own words: with
// its number it names the process for ever. "" where there is none, or the
// system does not say. A zombie counts as gone.
func processStart(pid int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || err != nil {
		return ""
	}
	// The name, in parentheses, may hold anything; fields count after it.
	_, rest, ok := strings.Cut(string(raw[max(0, strings.LastIndexByte(string(raw), ')')):]), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19]
}
