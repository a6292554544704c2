package procgroup

import (
	"os/exec"
	"unsafe"

	"golang.org/x/sys/windows"
)

// group is a job object. It ends with its last handle, which is here, and so
// with this process.
type group struct{ job windows.Handle }

// start also keeps ctrl-C from the program: it is for this process to answer.
func start(cmd *exec.Cmd) (*group, error) {
	cmd.SysProcAttr = &windows.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, err
	}
	g := &group{job}
	if err = g.limit(windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		_ = windows.CloseHandle(job)
		return nil, err
	}
	if err := g.assign(uint32(cmd.Process.Pid)); err != nil { //nolint:gosec // a process identifier
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = windows.CloseHandle(job)
		return nil, err
	}
	return g, nil
}

func (g *group) limit(flags uint32) error {
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: flags},
	}
	_, err := windows.SetInformationJobObject(g.job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	return err
}

func (g *group) assign(pid uint32) error {
	h, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, pid)
	if err != nil {
		return err
	}
	defer func() { _ = windows.CloseHandle(h) }()
	return windows.AssignProcessToJobObject(g.job, h)
}

// terminate: a program without a console cannot be asked.
func (g *group) terminate() bool { return false }
func (g *group) kill()           { _ = windows.TerminateJobObject(g.job, 1) }

// leave lets go of a job without ending what is left in it.
func (g *group) leave() {
	_ = g.limit(0)
	_ = windows.CloseHandle(g.job)
}
