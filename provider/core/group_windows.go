package core

import (
	"os/exec"
	"unsafe"

	"golang.org/x/sys/windows"
)

// processGroup is a job object: it ends with its handle, so that what a
// command started never outlives wfctl.
type processGroup struct {
	job windows.Handle
	cmd *exec.Cmd
}

func startGroup(cmd *exec.Cmd) (*processGroup, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, err
	}
	g := &processGroup{job: job, cmd: cmd}
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE},
	}
	if _, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info))); err != nil {
		g.close()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		g.close()
		return nil, err
	}
	if err := g.assign(uint32(cmd.Process.Pid)); err != nil {
		_ = cmd.Process.Kill()
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *processGroup) assign(pid uint32) error {
	h, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, pid)
	if err != nil {
		return err
	}
	defer func() { _ = windows.CloseHandle(h) }()
	return windows.AssignProcessToJobObject(g.job, h)
}

// terminate has no polite form on Windows for a program without a console.
func (g *processGroup) terminate() {}
func (g *processGroup) kill()      { _ = windows.TerminateJobObject(g.job, 1) }
func (g *processGroup) close()     { _ = windows.CloseHandle(g.job) }
