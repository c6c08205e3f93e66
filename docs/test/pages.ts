import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '..', '..')

export interface Block {
  /** 1-based line of its first command. */
  readonly line: number
  readonly text: string
  /**
   * `run`: in the shell of the page; `background`: a server that stays up until the page ends; `skip`: not here, for the
   * reason that follows the word in the fence.
   */
  readonly how: 'run' | 'background' | 'skip'
}

/** Every page of the documentation, relative to the root of the repository. */
export function allPages(): string[] {
  return globSync(['*.md', 'docs/**/*.md'], { cwd: root }).sort()
}

export function readPage(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

/** The `sh` blocks of a page, in order. */
export function shellBlocks(markdown: string): Block[] {
  const blocks: Block[] = []
  for (const match of markdown.matchAll(/^```sh(?: (\w+))?[^\n]*\n(.*?)^```$/gms)) {
    const [, word = 'run', text = ''] = match
    const line = markdown.slice(0, match.index).split('\n').length + 1
    if (word !== 'run' && word !== 'background' && word !== 'skip') throw new Error(`line ${line}: what is '${word}'?`)
    blocks.push({ line, text, how: word })
  }
  return blocks
}
