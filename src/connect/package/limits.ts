/** Limits of packages and uploads, each of which somebody outside could make grow. */
export const packageLimits = {
  /** Largest piece of an upload: HealthVault's block, and what one request may hold in memory. */
  chunkBytes: 2 * 1024 * 1024,
  /** Pieces of one upload: whole ones need 16; smaller ones are for poor lines. */
  chunksPerUpload: 4096,
  /** One file. It is read into items when it is claimed, as an attachment of mail is, and mail is no larger. */
  uploadBytes: 32 * 1024 * 1024,
  /** Uploads of one application that no package names yet. */
  uploadsPerApp: 50,
  /** What these may hold together: some fifteen packages at their largest. */
  uploadedBytesPerApp: 1024 * 1024 * 1024,
  /** An upload that no package names is swept after a day at the soonest, and after two when the sweep runs daily. */
  orphanMs: 24 * 60 * 60_000,
  /** Uploads swept in one go. */
  sweptAtOnce: 1000,
  /** Typed items of one package: a summary has some hundreds. */
  items: 1000,
  filesPerPackage: 100,
  /** All files of one package: a claim has them in memory together, for as long as one commit takes. */
  packageBytes: 64 * 1024 * 1024,
  /** Items and names of files together, as JSON before it is encrypted. */
  manifestBytes: 8 * 1024 * 1024,
  /** Longest name of a file (HealthVault's File). */
  nameChars: 255,
}
export type PackageLimits = typeof packageLimits
