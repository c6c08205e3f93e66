import { spawnSync } from 'node:child_process'

/** Why a test that drives this program cannot run on this machine, or false: the answer for `skip`. */
export function without(program: string, debianPackage = program): string | false {
  const { error } = spawnSync(program, ['--version'], { stdio: 'ignore' })
  return error === undefined ? false : `${program} is not installed: apt-get install ${debianPackage}`
}
