"""Trees of `/proc` and `/sys` as machines of several kinds show them, cut to what is read."""

from __future__ import annotations

from pathlib import Path

Tree = dict[str, str]

CPU = "sys/devices/system/cpu"


def plant(root: Path, tree: Tree) -> Path:
    """Write a tree below a folder."""
    for path, text in tree.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")
    return root


def stat_text(*, user: int, steal: int = 0, running: int = 1) -> str:
    return (
        f"cpu  {user} 40 60 158002 611 0 20 {steal} 0 0\ncpu0 {user} 40 60 158002 611 0 20 {steal} 0 0\n"
        f"intr 17727811 0 0\nctxt 8984684\nbtime 1795465186\nprocesses 332065\n"
        f"procs_running {running}\nprocs_blocked 0\n"
    )


MEMINFO = "MemTotal:       16331612 kB\nMemFree:        14378452 kB\nSwapCached:            0 kB\n"

# An Intel server, bare metal, four cores with two threads each, tuned for nothing.
INTEL: Tree = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Gold 6230\nflags\t\t: fpu vme de pse tsc msr ht\n",
    "proc/loadavg": "0.31 0.48 0.26 1/1107 7532\n",
    "proc/meminfo": f"{MEMINFO}SwapTotal:       2097148 kB\nSwapFree:        1990652 kB\n",
    "proc/stat": stat_text(user=1000),
    "proc/vmstat": "nr_free_pages 3594613\npswpin 100\npswpout 20\n",
    "proc/self/cgroup": "0::/user.slice/user-1000.slice/session-2.scope\n",
    "proc/sys/kernel/randomize_va_space": "2\n",
    "sys/fs/cgroup/user.slice/cpu.stat": "usage_usec 3700\nuser_usec 3000\nsystem_usec 700\n",
    f"{CPU}/online": "0-7\n",
    f"{CPU}/isolated": "\n",
    f"{CPU}/smt/active": "1\n",
    f"{CPU}/intel_pstate/no_turbo": "0\n",
    **{f"{CPU}/cpu{core}/topology/physical_package_id": "0\n" for core in range(8)},
    **{f"{CPU}/cpu{core}/topology/core_id": f"{core % 4}\n" for core in range(8)},
    **{f"{CPU}/cpu{core}/cpufreq/scaling_governor": "powersave\n" for core in range(8)},
    **{f"{CPU}/cpu{core}/cpufreq/cpuinfo_max_freq": f"{3900000 - 100000 * (core % 2)}\n" for core in range(8)},
    **{f"{CPU}/cpu{core}/thermal_throttle/core_throttle_count": "2\n" for core in range(8)},
    **{f"{CPU}/cpu{core}/thermal_throttle/package_throttle_count": "3\n" for core in range(8)},
}

# An AMD server, bare metal, four cores, set up for measuring, with two isolated cores.
AMD: Tree = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC 7302P\nflags\t\t: fpu vme de pse tsc msr ht\n",
    "proc/loadavg": "0.00 0.01 0.00 1/407 7532\n",
    "proc/meminfo": f"{MEMINFO}SwapTotal:             0 kB\nSwapFree:              0 kB\n",
    "proc/stat": stat_text(user=1000),
    "proc/vmstat": "pswpin 0\npswpout 0\n",
    "proc/self/cgroup": "0::/\n",
    "proc/sys/kernel/randomize_va_space": "0\n",
    f"{CPU}/online": "0-3\n",
    f"{CPU}/isolated": "2-3\n",
    f"{CPU}/smt/active": "0\n",
    f"{CPU}/cpufreq/boost": "0\n",
    **{f"{CPU}/cpu{core}/cpufreq/scaling_governor": "performance\n" for core in range(4)},
    **{f"{CPU}/cpu{core}/cpufreq/cpuinfo_max_freq": "3000000\n" for core in range(4)},
}

# An ARM board with four little and two big cores; its processor file has no flags as x86 has them.
ARM: Tree = {
    "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 48.00\nFeatures\t: fp asimd evtstrm aes\nCPU part\t: 0xd03\n",
    "proc/loadavg": "1.00 0.60 0.26 2/407 7532\n",
    "proc/self/cgroup": "0::/\n",
    f"{CPU}/online": "0-5\n",
    f"{CPU}/isolated": "\n",
    **{f"{CPU}/cpu{core}/cpu_capacity": "485\n" if core < 4 else "1024\n" for core in range(6)},
    **{f"{CPU}/cpu{core}/cpufreq/scaling_governor": "schedutil\n" for core in range(4)},
    **{f"{CPU}/cpu{core}/cpufreq/scaling_governor": "performance\n" for core in range(4, 6)},
}

# A container on eight cores with a quota of two, control groups of version 2; its own group is the mount's top.
CONTAINER_V2: Tree = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC 7B13\nflags\t\t: fpu vme hypervisor ht\n",
    "proc/loadavg": "9.00 8.48 7.26 12/1107 7532\n",
    "proc/self/cgroup": "0::/\n",
    "proc/stat": stat_text(user=1000, steal=7, running=5),
    "sys/fs/cgroup/cpu.max": "200000 100000\n",
    "sys/fs/cgroup/cpu.stat": "usage_usec 3700\nnr_periods 12\nnr_throttled 3\nthrottled_usec 1500\n",
    f"{CPU}/online": "0-7\n",
    f"{CPU}/isolated": "\n",
    f"{CPU}/smt/active": "1\n",
}

# The same with version 1, where quota and statistics stand below the mount that `cpu` is a link to.
CONTAINER_V1: Tree = {
    "proc/self/cgroup": "9:name=systemd:/docker/7ca9\n4:cpu,cpuacct:/docker/7ca9\n0::/system.slice\n",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpu/cpu.stat": "nr_periods 12\nnr_throttled 3\nthrottled_time 2500000\n",
    f"{CPU}/online": "0-3\n",
}

# A Firecracker virtual machine with two cores: no clocks, no heat, a control group tree of both versions.
FIRECRACKER: Tree = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu vme de pse tsc rep_good nopl hypervisor\n",
    "proc/loadavg": "0.20 0.48 0.26 4/107 7532\n",
    "proc/meminfo": f"{MEMINFO}SwapTotal:             0 kB\nSwapFree:              0 kB\n",
    "proc/stat": stat_text(user=1000, steal=0, running=2),
    "proc/vmstat": "nr_free_pages 3594613\npswpin 0\npswpout 0\n",
    "proc/self/cgroup": "9:name=systemd:/\n4:memory:/a/b\n3:cpuset:/\n2:cpuacct:/\n1:cpu:/\n0::/\n",
    "proc/sys/kernel/randomize_va_space": "2\n",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpu/cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
    "sys/fs/cgroup/unified/cpu.stat": "usage_usec 3700\nuser_usec 3000\nsystem_usec 700\n",
    f"{CPU}/online": "0-1\n",
    f"{CPU}/isolated": "\n",
    f"{CPU}/smt/active": "0\n",
    f"{CPU}/cpu0/cpu_capacity": "1024\n",
    f"{CPU}/cpu1/cpu_capacity": "1024\n",
}
