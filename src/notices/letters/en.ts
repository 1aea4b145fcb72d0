import type { Language } from './words.js'

export const en: Language = {
  code: 'Your code',
  foot: (service) => `${service} sent this message. Answers to it are not read. It never asks for your password.`,
  'confirm-email': (_, service) => ({
    subject: `Confirm your e-mail address for ${service}`,
    paragraphs: ['Somebody, you we hope, is opening an account with this e-mail address. The link works for one day.'],
    action: 'Confirm the address',
  }),
  'confirm-change': (_, service) => ({
    subject: `An account with ${service} would go by this e-mail address`,
    paragraphs: [
      'Somebody who has an account asked to use this e-mail address for it from now on.',
      'Follow the link only if that account is yours. Otherwise there is nothing to do.',
    ],
    action: 'Use this address for my account',
  }),
  'account-exists': (_, service) => ({
    subject: `You have an account with ${service}`,
    paragraphs: [
      'Somebody tried to open an account with this e-mail address, which has one already.',
      'If it was you, sign in, or recover the account. If not, there is nothing to do.',
    ],
    action: 'Sign in',
  }),
  recovery: ({ waitHours }, service) => ({
    subject: `Recover your account with ${service}`,
    paragraphs: [
      'Somebody asked to recover the account of this e-mail address.',
      ...(waitHours === undefined
        ? []
        : [`Without another proof it becomes possible in ${waitHours} hours. If you did not ask, stop it here.`]),
      'If it was not you, stop it with the link, and sign in to see who has access.',
    ],
    action: 'Recover the account, or stop it',
  }),
  'account-changed': ({ what }, service) => ({
    subject: `Your account with ${service} was changed`,
    paragraphs: [`What changed: ${what}.`, 'If you did not do this, look at it now.'],
    action: 'Look at the account',
  }),
  invitation: ({ from, message }, service) => ({
    subject: `${from} invites you to share a health record`,
    paragraphs: [
      `${from} would like to share a health record with you on ${service}.`,
      ...(message === undefined ? [] : [`They write: ${message}`]),
    ],
    action: 'Look at the invitation',
  }),
  'connect-request': ({ clinic }) => ({
    subject: `${clinic} would like to connect with your health record`,
    paragraphs: [
      `${clinic} would like to connect with your health record. Nothing is shared before you agree.`,
      'Follow the link, give the code, and answer the question that you agreed on.',
    ],
    action: 'Connect',
  }),
  'drop-off': ({ clinic }) => ({
    subject: `${clinic} left health information for you`,
    paragraphs: [
      `${clinic} left health information for you to pick up.`,
      'Follow the link, give the code, and answer the question that you agreed on. You need no account beforehand.',
    ],
    action: 'Pick it up',
  }),
  'held-message': (_, service) => ({
    subject: 'A secure message is waiting for you',
    paragraphs: [
      `A care provider sent you a secure message through ${service}. It waits until you pick it up.`,
      'Follow the link and give the code.',
    ],
    action: 'Pick it up',
  }),
  'new-message': (_, service) => ({
    subject: `You have a new message on ${service}`,
    paragraphs: ['A new secure message is available. Sign in to read it.'],
    action: 'Read it',
  }),
  'access-granted': ({ app }) => ({
    subject: `${app} may now use your health record`,
    paragraphs: [`You allowed ${app} to use your health record. You can see what it does, and end it, at any time.`],
    action: 'See who has access',
  }),
  'access-removed': ({ app }) => ({
    subject: `${app} may no longer use your health record`,
    paragraphs: [`The access of ${app} to your health record ended.`],
    action: 'See who has access',
  }),
  'review-needed': () => ({
    subject: 'New health information needs your review',
    paragraphs: ['New information arrived for your health record. Some of it waits for you to say what becomes of it.'],
    action: 'Review it',
  }),
  'items-added': () => ({
    subject: 'New health information was added',
    paragraphs: ['New information was added to your health record, as you chose for this sender.'],
    action: 'See what was added',
  }),
}
