// Package supervisor keeps services up on this machine after the command
// that started them has ended. [Run] is the supervisor's process: at most
// one per folder, guarded by a file lock, controlled over HTTP on a unix
// socket in a folder of mode 0700. [Connect] and [Dial] are the other end.
//
// A service is a number of like processes, perhaps behind a loopback reverse
// proxy, or a server that runs inside the supervisor. The supervisor restarts
// what crashes, rolls updates without a failed request, writes logs, and ends
// when its last service is removed. Its children end with it: at once on
// Linux, elsewhere when the next supervisor of the folder starts.
//
// The specification of a service, which may hold secrets in its environment
// and standard input, is kept in memory alone. So a supervisor that was killed
// remembers nothing: whoever asked for the services asks again. What it
// writes down, for the next one to clean up, is the identity of its processes.
package supervisor
