/** Limits of packages and uploads, each of which somebody outside could make grow. */
export const packageLimits = {
  /** Largest piece of an upload: HealthVault's block, and what one request may hold in memory. */
  chunkBytes: 2 * 1024 * 1024,
  /** Pieces of one upload: 1 GiB in whole pieces needs 512; smaller ones are for poor lines. */
  chunksPerUpload: 4096,
  /** One file: a study of images. Larger ones belong on a disc. */
  uploadBytes: 1024 * 1024 * 1024,
  /** Uploads of one application that no package names yet. */
  uploadsPerApp: 50,
  /** What these may hold together: the size of one record of HealthVault's. */
  uploadedBytesPerApp: 4 * 1024 * 1024 * 1024,
  /** An upload that no package names is swept after a day at the soonest, and after two when the sweep runs daily. */
  orphanMs: 24 * 60 * 60_000,
  /** Uploads swept in one go. */
  sweptAtOnce: 1000,
  /** Typed items of one package: a summary has some hundreds. */
  items: 1000,
  filesPerPackage: 100,
  /** A file that is read into items is held in memory whole, as an attachment of mail is; what is larger is kept unread. */
  readBytes: 24 * 1024 * 1024,
  /** All files of one claim that are read or copied. */
  claimBytes: 4 * 1024 * 1024 * 1024,
  /** Items and names of files together, as JSON before it is encrypted. */
  manifestBytes: 8 * 1024 * 1024,
  /** Longest name of a file (HealthVault's File). */
  nameChars: 255,
}
export type PackageLimits = typeof packageLimits
