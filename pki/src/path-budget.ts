/** What one verification may spend. The caller's chain is a stranger's work: the bill is settled in advance. */
export interface PathBudget {
  /** Certificates in a path, leaf and anchor included. OpenSSL's default depth allows more; IoT hierarchies have 2–5. */
  readonly pathLength: number
  /** Certificates considered, leaf included: TLS stacks of devices send fewer than ten. */
  readonly certificates: number
  /** Signature checks, cached ones not counted. Go and webpki allow 100; a P-256 check takes about 40 µs. */
  readonly signatures: number
  /** Steps of the search for a path. webpki allows 200,000; a step takes microseconds, an honest chain a dozen. */
  readonly steps: number
  /** Names compared with subtrees. webpki allows 250,000 (Go: CVE-2022-41722 class). */
  readonly nameComparisons: number
}

export const DEFAULT_BUDGET: PathBudget = {
  pathLength: 10,
  certificates: 10,
  signatures: 32,
  steps: 500,
  nameComparisons: 50_000,
}

export class BudgetExceeded extends Error {
  readonly item: keyof PathBudget
  readonly limit: number

  constructor(item: keyof PathBudget, limit: number) {
    super(`path validation needs more than ${limit} ${LABELS[item]}`)
    this.name = 'BudgetExceeded'
    this.item = item
    this.limit = limit
  }
}

const LABELS: Record<keyof PathBudget, string> = {
  pathLength: 'certificates in a path',
  certificates: 'certificates to choose from',
  signatures: 'signature checks',
  steps: 'search steps',
  nameComparisons: 'name comparisons',
}

/** Counts down; throws BudgetExceeded when a purse is empty. One object for one verification. */
export class Spending {
  readonly limits: PathBudget
  #signatures = 0
  #steps = 0
  #nameComparisons = 0

  constructor(limits: PathBudget) {
    this.limits = limits
  }

  signature(): void {
    if (++this.#signatures > this.limits.signatures) throw new BudgetExceeded('signatures', this.limits.signatures)
  }

  step(): void {
    if (++this.#steps > this.limits.steps) throw new BudgetExceeded('steps', this.limits.steps)
  }

  nameComparison(): void {
    if (++this.#nameComparisons > this.limits.nameComparisons) {
      throw new BudgetExceeded('nameComparisons', this.limits.nameComparisons)
    }
  }
}
