package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Spec is a service that is to be kept up.
type Spec struct {
	// Name keys the service; it is also what its log is called.
	Name string
	// Server names a server that runs inside the supervisor (see
	// [Options.Servers]); Options is its configuration. Empty: processes.
	Server  string
	Options json.RawMessage

	// Command is the program and its arguments. With Expand, "{port}" and
	// "{instance}" in an argument become the instance's own.
	Command []string
	Expand  bool
	Dir     string
	// Env is the whole environment; PORT is added for a proxied service.
	Env []string
	// Secrets are masked in what the processes print, before it is logged.
	Secrets []string
	// Stdin is given to each process on its standard input.
	Stdin []byte
	// User runs the processes as another user; nil means the supervisor's.
	User *User
	// StopSignal asks a process to end (SIGTERM by default); after Grace it
	// is killed. OrphanSignal is what it gets when the supervisor dies
	// (SIGKILL by default, Linux alone).
	StopSignal   string
	OrphanSignal string
	Grace        time.Duration

	// Instances is how many run; 0 counts as 1.
	Instances int
	// Listen puts a reverse proxy before the instances, or names the port of
	// a server inside the supervisor.
	Listen *Listen
	// Recreate stops the old before it starts the new, for what cannot run
	// twice at once.
	Recreate bool
	// Ready decides when an instance may serve, Live when it must be
	// restarted.
	Ready Probe
	Live  *Probe
}

// User is whom a process runs as.
type User struct{ UID, GID uint32 }

// Listen is where a service answers on the loopback interface.
type Listen struct {
	// Port is where; 0 leaves it to the supervisor.
	Port int
	// Fallback allows another port when Port is held by a supervisor's own
	// service, Any whoever holds it.
	Fallback, Any bool
}

// Probe asks a process whether it works. Without HTTP, TCP or Unix it only
// has to live on for Settle.
type Probe struct {
	// HTTP is a path that answers 2xx or 3xx on the instance's port.
	HTTP string
	// TCP connects to the instance's port, or to Address where that is set.
	TCP     bool
	Address string
	// Unix is a socket that can be connected to.
	Unix   string
	Settle time.Duration
	// Timeout is how long a process may take to answer for the first time.
	Timeout time.Duration
	// Interval lies between two probes once it has, Attempt bounds one, and
	// Failures in a row count as one failure. Delay comes before the first.
	Interval, Attempt, Delay time.Duration
	Failures                 int
}

func (p Probe) isZero() bool { return p.HTTP == "" && !p.TCP && p.Address == "" && p.Unix == "" }

// State is where an instance is in its life.
type State string

// The states.
const (
	Starting State = "starting"
	Serving  State = "serving"
	Failing  State = "failing" // runs, and its probe fails
	Crashed  State = "crashed" // waits to be started again
	Stopping State = "stopping"
)

// Status is what a supervisor knows of a service.
type Status struct {
	Name      string
	Wanted    int
	Port      int
	Instances []InstanceStatus
}

// Serving counts the instances that work.
func (s Status) Serving() int {
	n := 0
	for _, i := range s.Instances {
		if i.State == Serving {
			n++
		}
	}
	return n
}

// InstanceStatus is one of a service's processes.
type InstanceStatus struct {
	Name     string
	State    State
	PID      int
	Port     int
	Restarts int
	Since    time.Time
	// LastExit says how the previous process ended.
	LastExit string
	// Version tells instances of different specifications apart.
	Version string
}

// Event is what happens while a service is applied.
type Event struct {
	Message string `json:",omitempty"`
	Log     string `json:",omitempty"`
	Warning string `json:",omitempty"`
}

// version is the digest of all that a running process depends on.
func (s Spec) version() string {
	s.Instances, s.Secrets = 0, nil
	if s.Listen != nil {
		s.Listen = &Listen{} // which port is the proxy's matter
	}
	b, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

func (s Spec) withDefaults() Spec {
	if s.Instances <= 0 {
		s.Instances = 1
	}
	if s.Server != "" {
		s.Instances, s.Recreate = 1, true
		s.Ready.TCP = true
	}
	if s.Grace <= 0 {
		s.Grace = 10 * time.Second
	}
	s.Ready = s.Ready.withDefaults()
	if s.Live != nil {
		live := s.Live.withDefaults()
		s.Live = &live
	}
	return s
}

func (p Probe) withDefaults() Probe {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&p.Timeout, time.Minute)
	set(&p.Interval, 10*time.Second)
	set(&p.Attempt, 2*time.Second)
	set(&p.Settle, 500*time.Millisecond)
	if p.Failures <= 0 {
		p.Failures = 3
	}
	return p
}
