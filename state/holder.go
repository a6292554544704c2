package state

import (
	"fmt"
	"os"
	"os/user"
	"time"
)

// Holder says who holds a lease: enough to name it to a person, and to find
// out on its own machine whether it is still there.
type Holder struct {
	Who  string `json:"who"`
	Host string `json:"host"`
	// Machine identifies the machine beyond its name; "" where it cannot be
	// known. Boot changes with each start of the system, and with the process
	// namespace, so that identifiers of processes mean something.
	Machine string `json:"machine,omitempty"`
	Boot    string `json:"boot,omitempty"`
	PID     int    `json:"pid"`
	// Start is when the process began, in the system's own units.
	Start   string    `json:"start,omitempty"`
	Run     string    `json:"run,omitempty"`
	Command string    `json:"command,omitempty"`
	Since   time.Time `json:"since"`
}

// Self describes this process.
func Self(run, command string, now time.Time) Holder {
	h := Holder{PID: os.Getpid(), Command: command, Run: run, Who: "unknown", Since: now}
	if u, err := user.Current(); err == nil {
		h.Who = u.Username
	}
	h.Host, _ = os.Hostname() // "" is nobody's host, so never known dead
	h.Machine, h.Boot = machineID(), bootID()
	h.Start, _ = processStart(h.PID)
	return h
}

// String names the holder to a person.
func (h Holder) String() string {
	s := fmt.Sprintf("%s@%s, process %d", h.Who, h.Host, h.PID)
	if h.Command != "" {
		s += " (wfctl " + h.Command + ")"
	}
	if h.Run != "" {
		s += ", run " + h.Run
	}
	return s + ", since " + h.Since.Format(time.RFC3339)
}

// Gone tells whether h is known to be dead: on this machine, and the system
// has restarted or the process is no longer. It is false wherever that is not
// certain.
func (h Holder) Gone() bool { return h.gone(Self("", "", time.Time{}), system{}) }

// processes answers about this machine's processes; tests have their own.
type processes interface {
	// start returns when a process began, "" where that is not told; false
	// where there is no such process.
	start(pid int) (string, bool)
}

type system struct{}

func (system) start(pid int) (string, bool) { return processStart(pid) }

// gone tells whether h is known to be dead, as seen by the process me: on the
// same machine, and the system has restarted or the process is no longer. It
// is false wherever that is not certain.
func (h Holder) gone(me Holder, ps processes) bool {
	if h.Host == "" || h.Host != me.Host || h.Start == "" {
		return false
	}
	if h.Machine != me.Machine {
		return false
	}
	if h.Boot != me.Boot {
		return h.Machine != "" && bootOf(h.Boot) != bootOf(me.Boot)
	}
	start, alive := ps.start(h.PID)
	return !alive || start != "" && start != h.Start
}
