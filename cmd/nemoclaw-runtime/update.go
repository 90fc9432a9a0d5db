package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/runtime"
)

const resourcesUsage = `path to the file containing the resources to update or '-' to read from the standard input

The accepted format is as follow (unchanged values can be omitted):

{
  "memory": {
    "limit": 0,
    "reservation": 0,
    "swap": 0,
    "checkBeforeUpdate": true
  },
  "cpu": {
    "shares": 0,
    "quota": 0,
    "burst": 0,
    "period": 0,
    "realtimeRuntime": 0,
    "realtimePeriod": 0,
    "cpus": "",
    "mems": "",
    "idle": 0
  },
  "blockIO": {
    "weight": 0
  }
}

Note: if data is to be read from a file or the standard input, all
other options are ignored.
`

func (p *program) updateCommand() *cli.Command {
	return &cli.Command{
		Name:      "update",
		Usage:     "update container resource constraints",
		ArgsUsage: "<container-id>",
		Flags:     updateFlags(),
		Action: func(c *cli.Context) error {
			if err := p.exactly(c, 1); err != nil {
				return err
			}
			resources, err := updateResources(c)
			if err != nil {
				return err
			}
			return p.host.Update(c.Args().First(), runtime.UpdateOptions{
				Resources:     resources,
				L3CacheSchema: c.String("l3-cache-schema"),
				MemBwSchema:   c.String("mem-bw-schema"),
			})
		},
	}
}

func updateFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "resources", Aliases: []string{"r"}, Usage: resourcesUsage},
		&cli.IntFlag{Name: "blkio-weight", Usage: "Specifies per cgroup weight, range is from 10 to 1000"},
		&cli.StringFlag{Name: "cpu-period", Usage: "CPU CFS period to be used for hardcapping (in usecs). 0 to use system default"},
		&cli.StringFlag{Name: "cpu-quota", Usage: "CPU CFS hardcap limit (in usecs). Allowed cpu time in a given period"},
		&cli.StringFlag{Name: "cpu-burst", Usage: "CPU CFS hardcap burst limit (in usecs). Allowed accumulated cpu time additionally for burst a given period"},
		&cli.StringFlag{Name: "cpu-share", Usage: "CPU shares (relative weight vs. other containers)"},
		&cli.StringFlag{Name: "cpu-rt-period", Usage: "CPU realtime period to be used for hardcapping (in usecs). 0 to use system default"},
		&cli.StringFlag{Name: "cpu-rt-runtime", Usage: "CPU realtime hardcap limit (in usecs). Allowed cpu time in a given period"},
		&cli.StringFlag{Name: "cpuset-cpus", Usage: "CPU(s) to use"},
		&cli.StringFlag{Name: "cpuset-mems", Usage: "Memory node(s) to use"},
		&cli.StringFlag{Name: "cpu-idle", Usage: "set cgroup SCHED_IDLE or not, 0: default behavior, 1: SCHED_IDLE"},
		&cli.StringFlag{Name: "kernel-memory", Usage: "(obsoleted; do not use)", Hidden: true},
		&cli.StringFlag{Name: "kernel-memory-tcp", Usage: "(obsoleted; do not use)", Hidden: true},
		&cli.StringFlag{Name: "memory", Usage: "Memory limit (in bytes)"},
		&cli.StringFlag{Name: "memory-reservation", Usage: "Memory reservation or soft_limit (in bytes)"},
		&cli.StringFlag{Name: "memory-swap", Usage: "Total memory usage (memory + swap); set '-1' to enable unlimited swap"},
		&cli.IntFlag{Name: "pids-limit", Usage: "Maximum number of pids allowed in the container"},
		&cli.StringFlag{Name: "l3-cache-schema", Usage: "The string of Intel RDT/CAT L3 cache schema"},
		&cli.StringFlag{Name: "mem-bw-schema", Usage: "The string of Intel RDT/MBA memory bandwidth schema"},
	}
}

// updateResources reads the new limits from a file, or else from the flags.
func updateResources(c *cli.Context) (*specs.LinuxResources, error) {
	if path := c.String("resources"); path != "" {
		return runtime.ReadResources(path, os.Stdin)
	}
	r := runtime.NewResources()
	r.CPU.Cpus, r.CPU.Mems = c.String("cpuset-cpus"), c.String("cpuset-mems")
	if weight := c.Int("blkio-weight"); weight != 0 {
		narrow := uint16(weight)
		r.BlockIO.Weight = &narrow
	}
	if c.IsSet("pids-limit") {
		limit := int64(c.Int("pids-limit"))
		r.Pids.Limit = &limit
	}
	v := values{c: c}
	v.unsigned("cpu-burst", &r.CPU.Burst)
	v.unsigned("cpu-period", &r.CPU.Period)
	v.unsigned("cpu-rt-period", &r.CPU.RealtimePeriod)
	v.unsigned("cpu-share", &r.CPU.Shares)
	v.signed("cpu-idle", &r.CPU.Idle)
	v.signed("cpu-quota", &r.CPU.Quota)
	v.signed("cpu-rt-runtime", &r.CPU.RealtimeRuntime)
	v.bytes("memory", &r.Memory.Limit)
	v.bytes("memory-swap", &r.Memory.Swap)
	v.bytes("memory-reservation", &r.Memory.Reservation)
	v.bytes("kernel-memory", &r.Memory.Kernel)        //nolint:staticcheck // warned about in Update.
	v.bytes("kernel-memory-tcp", &r.Memory.KernelTCP) //nolint:staticcheck // warned about in Update.
	return r, v.err
}

// values reads numbers from string flags, where "" means that nothing changes
// and 0 is a value. The first error stays.
type values struct {
	c   *cli.Context
	err error
}

func (v *values) signed(flag string, dest **int64) {
	read(v, flag, dest, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
}

func (v *values) unsigned(flag string, dest **uint64) {
	read(v, flag, dest, func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) })
}

// bytes reads an amount of memory, such as 64M; -1 is no limit.
func (v *values) bytes(flag string, dest **int64) {
	read(v, flag, dest, func(s string) (int64, error) {
		if s == "-1" {
			return -1, nil
		}
		return units.RAMInBytes(s)
	})
}

func read[T any](v *values, flag string, dest **T, parse func(string) (T, error)) {
	s := v.c.String(flag)
	if s == "" || v.err != nil {
		return
	}
	value, err := parse(s)
	if err != nil {
		v.err = fmt.Errorf("invalid value for %s: %w", flag, err)
		return
	}
	*dest = &value
}
