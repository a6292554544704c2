package clusters

import "syscall"

// terminate asks a worker to end its work and go.
const terminate = syscall.SIGTERM
