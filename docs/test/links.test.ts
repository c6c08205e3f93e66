import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { allPages, readPage, root } from './pages.ts'

test('every relative link leads to a file, every anchor to a heading', () => {
  const broken: string[] = []
  for (const page of allPages()) {
    for (const link of linksOf(readPage(page))) {
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? page : normalize(join(dirname(page), path))
      if (!existsSync(join(root, target))) broken.push(`${page} → ${link}`)
      else if (anchor && !hasAnchor(target, anchor)) broken.push(`${page} → ${link}: no such heading`)
    }
  }
  assert.deepEqual(broken, [])
})

test('every file that a page names in code font exists', () => {
  const missing: string[] = []
  for (const page of allPages()) {
    for (const [, path = ''] of readPage(page).matchAll(/`((?:pki|server|cli|docs|scripts|bench)\/[\w./-]+)`/g)) {
      if (!existsSync(join(root, path))) missing.push(`${page}: ${path}`)
    }
  }
  assert.deepEqual(missing, [])
})

test('no page holds a path of the machine it was written on', () => {
  const wrong = allPages().filter((page) => /(?:^|[\s'"`(=])\/(?:work|home|root|tmp|Users)\//m.test(readPage(page)))
  assert.deepEqual(wrong, [])
})

test('the checks see what is wrong', () => {
  assert.deepEqual(linksOf('a [b](c.md#d) `[x](y)` [web](https://example.com/)'), ['c.md#d'])
  assert.ok(anchorsOf('# A CA, *with* `code`\n## A CA, *with* `code`').has('a-ca-with-code-1'))
})

function linksOf(markdown: string): string[] {
  const prose = markdown.replace(/^```.*?^```$/gms, '').replace(/`[^`\n]*`/g, '')
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? '').filter((link) => !/^[a-z]+:/.test(link))
}

function hasAnchor(target: string, anchor: string): boolean {
  return statSync(join(root, target)).isFile() && anchorsOf(readPage(target)).has(anchor)
}

/** The anchors that GitHub gives to the headings of a page; a repeated heading gets a number. */
function anchorsOf(markdown: string): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of markdown.replace(/^```.*?^```$/gms, '').matchAll(/^#{1,6} +(.+?) *$/gm)) {
    const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const plain = text.replace(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-')
    let anchor = plain
    for (let count = 1; anchors.has(anchor); count++) anchor = `${plain}-${count}`
    anchors.add(anchor)
  }
  return anchors
}
