package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/intelrdt"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
)

// UpdateOptions says which limits of a container change.
type UpdateOptions struct {
	// Resources are the new limits; what is nil or zero stays, with the
	// exceptions that runc makes. See NewResources and ReadResources.
	Resources *specs.LinuxResources
	// L3CacheSchema and MemBwSchema are lines of resctrl's schemata (Intel RDT,
	// Documentation/filesystems/resctrl.rst); "" leaves them.
	L3CacheSchema, MemBwSchema string
}

// NewResources gives resources that change nothing, with every part present.
func NewResources() *specs.LinuxResources {
	check := false
	return &specs.LinuxResources{
		Memory:  &specs.LinuxMemory{CheckBeforeUpdate: &check},
		CPU:     &specs.LinuxCPU{},
		BlockIO: &specs.LinuxBlockIO{},
		Pids:    &specs.LinuxPids{},
	}
}

// ReadResources reads resources as JSON from a file, "-" for in.
func ReadResources(path string, in io.Reader) (*specs.LinuxResources, error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	r := NewResources()
	if err := json.NewDecoder(in).Decode(r); err != nil {
		return nil, err
	}
	return withEveryPart(r), nil
}

// withEveryPart puts back what a "null" in the JSON has removed.
func withEveryPart(r *specs.LinuxResources) *specs.LinuxResources {
	empty := NewResources()
	if r.Memory == nil {
		r.Memory = empty.Memory
	}
	if r.CPU == nil {
		r.CPU = empty.CPU
	}
	if r.BlockIO == nil {
		r.BlockIO = empty.BlockIO
	}
	if r.Pids == nil {
		r.Pids = empty.Pids
	}
	return r
}

// Update changes the limits of a container that runs or is created.
func (h *Host) Update(id string, o UpdateOptions) error {
	c, err := h.load(id)
	if err != nil {
		return err
	}
	config := c.Config()
	r := withEveryPart(o.Resources)
	completeResources(r)
	limits := config.Cgroups.Resources
	updateBlockIO(limits, r.BlockIO)
	updateCPU(limits, r.CPU)
	updateMemory(limits, r.Memory)
	limits.PidsLimit = r.Pids.Limit
	limits.Unified = r.Unified
	if err := updateRdt(&config, &o); err != nil {
		return err
	}
	// A container's devices are not among what can be updated, and others (a GPU
	// hook) may have added to them since.
	config.Cgroups.SkipDevices = true
	return c.Set(config)
}

// completeResources adds what the kernel wants to see beside a value.
func completeResources(r *specs.LinuxResources) {
	if m := r.Memory; m.Limit != nil && *m.Limit == -1 && m.Swap == nil {
		// Else: "unable to set swap limit without memory limit".
		m.Swap = new(int64)
	}
	if r.CPU.Idle != nil && r.CPU.Shares == nil {
		// Else the weight of an idle cgroup is written, and refused.
		r.CPU.Shares = new(uint64)
	}
	if r.Memory.Kernel != nil || r.Memory.KernelTCP != nil { //nolint:staticcheck // Engines still send them.
		logrus.Warn("Kernel memory settings are ignored and will be removed")
	}
}

// set writes a new value, if there is one.
func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

func updateCPU(limits *cgroups.Resources, cpu *specs.LinuxCPU) {
	updateBandwidth(limits, cpu)
	if cpu.Shares != nil {
		limits.CpuShares = *cpu.Shares
		limits.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(*cpu.Shares)
	}
	set(&limits.CpuRtPeriod, cpu.RealtimePeriod)
	set(&limits.CpuRtRuntime, cpu.RealtimeRuntime)
	limits.CpuBurst = cpu.Burst
	limits.CPUIdle = cpu.Idle
	limits.CpusetCpus = cpu.Cpus
	limits.CpusetMems = cpu.Mems
}

// updateBandwidth sets quota and period. They mean something only together, but
// one alone has always been accepted: the other then keeps its value. Neither
// resets both.
func updateBandwidth(limits *cgroups.Resources, cpu *specs.LinuxCPU) {
	var period uint64
	var quota int64
	set(&period, cpu.Period)
	set(&quota, cpu.Quota)
	switch {
	case period != 0 && quota == 0:
		limits.CpuPeriod = period
	case period == 0 && quota != 0:
		limits.CpuQuota = quota
	default:
		limits.CpuPeriod, limits.CpuQuota = period, quota
	}
}

func updateMemory(limits *cgroups.Resources, memory *specs.LinuxMemory) {
	set(&limits.Memory, memory.Limit)
	set(&limits.MemoryReservation, memory.Reservation)
	set(&limits.MemorySwap, memory.Swap)
	set(&limits.MemoryCheckBeforeUpdate, memory.CheckBeforeUpdate)
}

func updateBlockIO(limits *cgroups.Resources, io *specs.LinuxBlockIO) {
	set(&limits.BlkioWeight, io.Weight)
	set(&limits.BlkioLeafWeight, io.LeafWeight)
	for _, d := range io.WeightDevice {
		limits.BlkioWeightDevice = putWeight(limits.BlkioWeightDevice, d)
	}
	for _, d := range io.ThrottleReadBpsDevice {
		limits.BlkioThrottleReadBpsDevice = putThrottle(limits.BlkioThrottleReadBpsDevice, d)
	}
	for _, d := range io.ThrottleWriteBpsDevice {
		limits.BlkioThrottleWriteBpsDevice = putThrottle(limits.BlkioThrottleWriteBpsDevice, d)
	}
	for _, d := range io.ThrottleReadIOPSDevice {
		limits.BlkioThrottleReadIOPSDevice = putThrottle(limits.BlkioThrottleReadIOPSDevice, d)
	}
	for _, d := range io.ThrottleWriteIOPSDevice {
		limits.BlkioThrottleWriteIOPSDevice = putThrottle(limits.BlkioThrottleWriteIOPSDevice, d)
	}
}

// putWeight changes the entry of a device, the last one if there are several
// because that is the one in force, or adds one.
func putWeight(devices []*cgroups.WeightDevice, d specs.LinuxWeightDevice) []*cgroups.WeightDevice {
	for i := len(devices) - 1; i >= 0; i-- {
		if devices[i].Major == d.Major && devices[i].Minor == d.Minor {
			set(&devices[i].Weight, d.Weight)
			set(&devices[i].LeafWeight, d.LeafWeight)
			return devices
		}
	}
	var weight, leaf uint16
	set(&weight, d.Weight)
	set(&leaf, d.LeafWeight)
	return append(devices, cgroups.NewWeightDevice(d.Major, d.Minor, weight, leaf))
}

// putThrottle does for rates what putWeight does for weights.
func putThrottle(devices []*cgroups.ThrottleDevice, d specs.LinuxThrottleDevice) []*cgroups.ThrottleDevice {
	for i := len(devices) - 1; i >= 0; i-- {
		if devices[i].Major == d.Major && devices[i].Minor == d.Minor {
			devices[i].Rate = d.Rate
			return devices
		}
	}
	return append(devices, cgroups.NewThrottleDevice(d.Major, d.Minor, d.Rate))
}

// updateRdt changes Intel RDT limits of a container that was made with some.
func updateRdt(config *configs.Config, o *UpdateOptions) error {
	switch {
	case o.L3CacheSchema == "" && o.MemBwSchema == "":
		return nil
	case o.L3CacheSchema != "" && !intelrdt.IsCATEnabled():
		return errors.New("Intel RDT/CAT: l3 cache schema is not enabled") //nolint:staticcheck // a name.
	case o.MemBwSchema != "" && !intelrdt.IsMBAEnabled():
		return errors.New("Intel RDT/MBA: memory bandwidth schema is not enabled") //nolint:staticcheck // a name.
	case config.IntelRdt == nil:
		return fmt.Errorf("updating a non-existent Intel RDT configuration is not supported")
	}
	replace(&config.IntelRdt.L3CacheSchema, o.L3CacheSchema)
	replace(&config.IntelRdt.MemBwSchema, o.MemBwSchema)
	return nil
}
