#!/usr/bin/python3
# api.py - libocrun as its users meet it: installed and packaged, from other languages, and a million tasks
"""Builds consumer projects against an installed prefix, an unpacked .deb and (as root) the .deb installed in this system and purged
again, restarts a set-user-ID program (as root), runs the examples for Python and Go, and the long form of many_tasks_from_eight_threads (OCRUN_API_TASKS in the environment: how many tasks; default 1000000)."""
import os, shutil, subprocess, time
from pathlib import Path

from common import CONFIGS, ROOT, Suite, show

suite = Suite("libocrun: packages, languages, a million tasks")
CONSUMER = ROOT / "tests" / "api_consumer"
EXAMPLES = ROOT / "runtime" / "api" / "examples"
TASKS = os.environ.get("OCRUN_API_TASKS", "1000000")
PLACE = Path(suite.directory)


def tool(title, command, cwd=PLACE, env=None):
    """a step that must work; False and a report when it does not"""
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=dict(os.environ, **(env or {})), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=600)
    if done.returncode:
        suite.fail(title, "build", show(" ".join(map(str, command[:3])), done.stdout[-2000:]))
    return done.returncode == 0


def expect(title, mode, prefix, command, out, env=None, timeout=120):
    began = time.monotonic()
    o = suite.run(prefix, command, suite.place(), timeout, env=env)
    if o.timed_out or o.status or o.out != out or o.err or o.left:
        suite.fail(title, mode, f"status {o.status}{', timed out' if o.timed_out else ''}\n{show('out', o.out)}{show('err', o.err)}{o.dump}")
    else:
        suite.ok(title, mode, time.monotonic() - began)


def everywhere(title, command, out, timeout=120, env=None):
    """natively on plain threads, under ocrun, and restarting itself"""
    expect(title, "native", [], command, out, env, timeout)
    if suite.options.native:
        return
    expect(title, suite.config, suite.ocrun, command, out, env, timeout)
    expect(title, "restart", [], command, out, dict(env or {}, OCRUN=suite.ocrun_file, OC_API_MODE="restart"), timeout)


def consumers(title, prefix=None):
    """by find_package and by pkg-config; the programs restart themselves under the ocrun that was installed beside them. Without a
    prefix: in the system, where everything is found without being told"""
    result = b"sum 9900, under ocrun: 1\n"
    # Outside the tree, sources and all.
    source = PLACE / f"{title}-source"
    shutil.copytree(CONSUMER, source)
    build = PLACE / f"{title}-cmake"
    told = {"OCRUN": f"{prefix}/bin/ocrun"} if prefix else {}
    if tool(title, ["cmake", "-S", source, "-B", build, *([f"-DCMAKE_PREFIX_PATH={prefix}"] if prefix else [])]) and tool(title, ["cmake", "--build", build]):
        for language in ("c", "cpp"):
            # The shared library finds ocrun from its own place; a program with the archive is told, as its prefix was moved.
            expect(f"{title}: find_package, {language}", "shared", [], [str(build / f"{language}_ocrun")], result)
            expect(f"{title}: find_package, {language}", "static", [], [str(build / f"{language}_ocrun_static")], result,
                   told)
    pkg_config = {"PKG_CONFIG_PATH": str(next(prefix.glob("lib*/**/pkgconfig")))} if prefix else {}

    def flags(*options):
        return subprocess.run(["pkg-config", *options, "ocrun"], env=dict(os.environ, **pkg_config), check=True, capture_output=True,
                              text=True).stdout.split()

    rpath = [f"-Wl,-rpath,{next(prefix.glob('lib*/**/libocrun.so')).parent}"] if prefix else []
    for compiler, source, standard in (("cc", "consumer.c", "-std=c11"), ("c++", "consumer.cc", "-std=c++20")):
        program = PLACE / f"{title}-{compiler}"
        if tool(title, [compiler, standard, "-Wall", "-Wextra", "-Werror", *flags("--cflags"), CONSUMER / source, *flags("--libs"),
                        *rpath, "-o", program]):
            expect(f"{title}: pkg-config, {compiler}", "shared", [], [str(program)], result)
        static = [f"-l:libocrun.a" if f == "-locrun" else f for f in flags("--static", "--libs")]
        if tool(title, [compiler, standard, *flags("--cflags"), CONSUMER / source, *static, "-o", f"{program}-static"]):
            expect(f"{title}: pkg-config, {compiler}", "static", [], [f"{program}-static"], result, told)


def installed(package):
    """the package in this very system, as a user has it, and away again"""
    title = "deb in the system"
    there = subprocess.run(["dpkg-query", "-W", "-f", "${Status}", "ocrun"], capture_output=True, text=True).stdout
    if os.geteuid():
        return suite.skip(title, "not root")
    if "not-installed" not in there and there:
        return suite.skip(title, "a package ocrun is installed already")
    if not tool(title, ["dpkg", "-i", package]):
        subprocess.run(["dpkg", "--purge", "ocrun"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return
    try:
        suite.check(f"{title}: the program", "build",
                    subprocess.run(["/usr/bin/ocrun", "--version"], capture_output=True, timeout=20).returncode == 0, "ocrun --version")
        consumers("deb-system")
    finally:
        tool(title, ["dpkg", "--purge", "ocrun"])
    left = [p for p in ("/usr/bin/ocrun", "/usr/include/ocrun", "/usr/share/doc/ocrun") if os.path.exists(p)]
    suite.check(f"{title}: nothing is left of it", "build", not left, str(left))


if suite.wanted("install"):
    if tool("install", ["cmake", "--install", suite.build, "--prefix", PLACE / "prefix"]):
        consumers("install", PLACE / "prefix")
if suite.wanted("deb"):
    if not shutil.which("dpkg-deb"):
        suite.skip("deb", "no dpkg-deb")
    elif tool("deb", ["cpack", "-G", "DEB", "-B", PLACE / "deb"], cwd=suite.build):
        packages = list((PLACE / "deb").glob("*.deb"))
        suite.check("deb: one package", "build", len(packages) == 1, str(packages))
        if packages and tool("deb", ["dpkg-deb", "-x", packages[0], PLACE / "root"]):
            consumers("deb", PLACE / "root" / "usr")
        if packages:
            installed(packages[0])

SECURE = r"""
#include <ocrun/ocrun.h>
#include <stdio.h>
#include <sys/auxv.h>
int main(void) {
    oc_config config = OC_CONFIG_INIT;  /* restarts, or says why not */
    printf("secure %d, oc_init %d\n", getauxval(AT_SECURE) != 0, oc_init(&config));
    return 0;
}
"""


def set_user_id():
    """a set-user-ID program does not take ocrun from OCRUN or PATH; without the bit the same program finds it by either"""
    title = "restart of a set-user-ID program"
    if os.geteuid():
        return suite.skip(title, "not root")
    if os.path.exists("/usr/bin/ocrun") or os.path.exists("/usr/local/bin/ocrun"):
        return suite.skip(title, "an ocrun is installed")
    if os.statvfs(PLACE).f_flag & os.ST_NOSUID:
        return suite.skip(title, "set-user-ID bits do not count there")
    place = PLACE / "secure"
    place.mkdir()
    source, program = place / "secure.c", place / "secure"
    source.write_text(SECURE)
    if not tool(title, ["cc", f"-I{EXAMPLES.parent}/include", source, suite.build / "lib" / "libocrun.a", "-lstdc++", "-pthread", "-o", program]):
        return
    shutil.copy(suite.ocrun_file, place / "ocrun")
    for what, mode, env, out in (("OCRUN", 0o4755, {"OCRUN": str(place / "ocrun")}, b"secure 1, oc_init -2\n"),
                                 ("PATH", 0o4755, {"PATH": str(place)}, b"secure 1, oc_init -2\n"),
                                 ("OCRUN, no bit", 0o755, {"OCRUN": str(place / "ocrun")}, b"secure 0, oc_init 0\n"),
                                 ("PATH, no bit", 0o755, {"PATH": str(place)}, b"secure 0, oc_init 0\n")):
        program.chmod(mode)
        done = subprocess.run([program], env=env, user=65534, group=65534, extra_groups=[], cwd="/", capture_output=True, timeout=60)
        suite.check(f"{title}: {what}", "native", done.stdout == out and not done.returncode, show("out", done.stdout + done.stderr))


library = suite.build / "lib"
if suite.wanted("secure"):
    set_user_id()
if suite.wanted("python"):
    everywhere("python by ctypes", ["/usr/bin/python3", str(EXAMPLES / "tasks.py"), str(library / "libocrun.so.0")], b"done\n")
if suite.wanted("go"):
    if not shutil.which("go"):
        suite.skip("go by cgo", "no go")
    elif tool("go by cgo", ["go", "build", "-o", PLACE / "go_tasks", "."], cwd=EXAMPLES / "go",
              env={"CGO_CFLAGS": f"-I{EXAMPLES.parent}/include", "CGO_LDFLAGS": f"-L{library} -locrun -Wl,-rpath,{library}",
                   "GOCACHE": str(PLACE / "go_cache"), "GOFLAGS": "-mod=mod"}):
        everywhere("go by cgo", [str(PLACE / "go_tasks")], b"done\n")
if suite.wanted("reference"):
    done = subprocess.run([ROOT / "scripts" / "api-reference", "--check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    suite.check("reference: docs/api.md is what the headers say", "build", done.returncode == 0, show("out", done.stdout))
if suite.wanted("million"):
    program = suite.guest("many_tasks_from_eight_threads")
    everywhere("million tasks from eight threads", [program, TASKS, "100"], b"ok\n", 600)
    for config in ("w1", "w1-epoll", "w2", "w2-epoll", "w8", "w8-epoll"):
        for what in ("sleep", "talk"):
            title = f"million tasks that {what}"
            began = time.monotonic()
            o = suite.run([suite.ocrun_file] + CONFIGS[config], [program, TASKS, "100", what], suite.place(), 600)
            peak, _, rest = o.out.decode(errors="replace").partition("\n")
            if o.timed_out or o.status or rest != "ok\n" or o.err or o.left:
                suite.fail(title, config, f"status {o.status}{', timed out' if o.timed_out else ''}\n{show('out', o.out)}{show('err', o.err)}{o.dump}")
            else:
                suite.ok(f"{title}, {peak}", config, time.monotonic() - began)
suite.end()
