package runtime

import (
	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/intelrdt"
	"github.com/opencontainers/runc/types"
)

// convertStats gives libcontainer's figures the form that runc prints and that
// containerd reads. Nil when there is no cgroup to count.
func convertStats(in *libcontainer.Stats) *types.Stats {
	cg := in.CgroupStats
	if cg == nil {
		return nil
	}
	out := &types.Stats{
		CPU:               convertCPU(cg),
		CPUSet:            types.CPUSet(cg.CPUSetStats),
		Memory:            convertMemory(&cg.MemoryStats),
		Blkio:             convertBlkio(&cg.BlkioStats),
		Hugetlb:           make(map[string]types.Hugetlb, len(cg.HugetlbStats)),
		NetworkInterfaces: in.Interfaces,
	}
	out.Pids.Current, out.Pids.Limit = cg.PidsStats.Current, cg.PidsStats.Limit
	for size, h := range cg.HugetlbStats {
		out.Hugetlb[size] = types.Hugetlb{Usage: h.Usage, Max: h.MaxUsage, Failcnt: h.Failcnt}
	}
	if in.IntelRdtStats != nil {
		out.IntelRdt = convertRdt(in.IntelRdtStats)
	}
	return out
}

func convertCPU(cg *cgroups.Stats) types.Cpu {
	usage, throttling := &cg.CpuStats.CpuUsage, &cg.CpuStats.ThrottlingData
	return types.Cpu{
		Usage: types.CpuUsage{
			Total:        usage.TotalUsage,
			Kernel:       usage.UsageInKernelmode,
			User:         usage.UsageInUsermode,
			Percpu:       usage.PercpuUsage,
			PercpuKernel: usage.PercpuUsageInKernelmode,
			PercpuUser:   usage.PercpuUsageInUsermode,
		},
		Throttling: types.Throttling{
			Periods:          throttling.Periods,
			ThrottledPeriods: throttling.ThrottledPeriods,
			ThrottledTime:    throttling.ThrottledTime,
		},
		PSI: cg.CpuStats.PSI,
	}
}

func convertMemory(m *cgroups.MemoryStats) types.Memory {
	return types.Memory{
		Cache:     m.Cache,
		Usage:     memoryEntry(m.Usage),
		Swap:      memoryEntry(m.SwapUsage),
		Kernel:    memoryEntry(m.KernelUsage),
		KernelTCP: memoryEntry(m.KernelTCPUsage),
		Raw:       m.Stats,
		PSI:       m.PSI,
	}
}

func memoryEntry(m cgroups.MemoryData) types.MemoryEntry {
	return types.MemoryEntry{Limit: m.Limit, Usage: m.Usage, Max: m.MaxUsage, Failcnt: m.Failcnt}
}

func convertBlkio(b *cgroups.BlkioStats) types.Blkio {
	return types.Blkio{
		IoServiceBytesRecursive: blkioEntries(b.IoServiceBytesRecursive),
		IoServicedRecursive:     blkioEntries(b.IoServicedRecursive),
		IoQueuedRecursive:       blkioEntries(b.IoQueuedRecursive),
		IoServiceTimeRecursive:  blkioEntries(b.IoServiceTimeRecursive),
		IoWaitTimeRecursive:     blkioEntries(b.IoWaitTimeRecursive),
		IoMergedRecursive:       blkioEntries(b.IoMergedRecursive),
		IoTimeRecursive:         blkioEntries(b.IoTimeRecursive),
		SectorsRecursive:        blkioEntries(b.SectorsRecursive),
		PSI:                     b.PSI,
	}
}

func blkioEntries(in []cgroups.BlkioStatEntry) []types.BlkioEntry {
	out := make([]types.BlkioEntry, len(in))
	for i, e := range in {
		out[i] = types.BlkioEntry(e)
	}
	return out
}

// convertRdt leaves out what this machine's resctrl does not have.
func convertRdt(in *intelrdt.Stats) types.IntelRdt {
	out := types.IntelRdt{Schemata: in.Schemata}
	if intelrdt.IsCATEnabled() {
		out.L3CacheInfo = (*types.L3CacheInfo)(in.L3CacheInfo)
		out.L3CacheSchemaRoot, out.L3CacheSchema = in.L3CacheSchemaRoot, in.L3CacheSchema
	}
	if intelrdt.IsMBAEnabled() {
		out.MemBwInfo = (*types.MemBwInfo)(in.MemBwInfo)
		out.MemBwSchemaRoot, out.MemBwSchema = in.MemBwSchemaRoot, in.MemBwSchema
	}
	if intelrdt.IsMBMEnabled() {
		out.MBMStats = in.MBMStats
	}
	if intelrdt.IsCMTEnabled() {
		out.CMTStats = in.CMTStats
	}
	return out
}
