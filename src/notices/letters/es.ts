import type { Language } from './words.js'

export const es: Language = {
  code: 'Su código',
  foot: (service) =>
    `${service} envió este mensaje. Las respuestas no se leen. Nunca le pediremos su contraseña por correo.`,
  'confirm-email': (_, service) => ({
    subject: `Confirme su dirección de correo para ${service}`,
    paragraphs: [
      'Alguien, esperamos que usted, está abriendo una cuenta con esta dirección de correo. El enlace sirve durante un día.',
    ],
    action: 'Confirmar la dirección',
  }),
  'confirm-change': (_, service) => ({
    subject: `Una cuenta en ${service} quiere usar esta dirección de correo`,
    paragraphs: [
      'Alguien que tiene una cuenta pidió usar desde ahora esta dirección de correo para ella.',
      'Siga el enlace solo si esa cuenta es suya. Si no, no tiene que hacer nada.',
    ],
    action: 'Usar esta dirección en mi cuenta',
  }),
  'account-exists': (_, service) => ({
    subject: `Usted ya tiene una cuenta en ${service}`,
    paragraphs: [
      'Alguien intentó abrir una cuenta con esta dirección de correo, que ya tiene una.',
      'Si fue usted, inicie sesión o recupere la cuenta. Si no, no tiene que hacer nada.',
    ],
    action: 'Iniciar sesión',
  }),
  recovery: ({ waitHours }, service) => ({
    subject: `Recupere su cuenta en ${service}`,
    paragraphs: [
      'Alguien pidió recuperar la cuenta de esta dirección de correo.',
      ...(waitHours === undefined
        ? []
        : [`Sin otra prueba será posible dentro de ${waitHours} horas. Si usted no lo pidió, deténgalo aquí.`]),
      'Si no fue usted, deténgalo con el enlace e inicie sesión para ver quién tiene acceso.',
    ],
    action: 'Recuperar la cuenta o detenerlo',
  }),
  'account-changed': ({ what }, service) => ({
    subject: `Su cuenta en ${service} ha cambiado`,
    paragraphs: [`Qué ha cambiado: ${what}.`, 'Si usted no lo hizo, revísela ahora.'],
    action: 'Revisar la cuenta',
  }),
  invitation: ({ from, message }, service) => ({
    subject: `${from} le invita a compartir un expediente de salud`,
    paragraphs: [
      `${from} quiere compartir con usted un expediente de salud en ${service}.`,
      ...(message === undefined ? [] : [`Le escribe: ${message}`]),
    ],
    action: 'Ver la invitación',
  }),
  'connect-request': ({ clinic }) => ({
    subject: `${clinic} desea conectarse con su expediente de salud`,
    paragraphs: [
      `${clinic} desea conectarse con su expediente de salud. No se comparte nada antes de que usted lo acepte.`,
      'Siga el enlace, escriba el código y responda a la pregunta acordada.',
    ],
    action: 'Conectar',
  }),
  'drop-off': ({ clinic }) => ({
    subject: `${clinic} dejó información de salud para usted`,
    paragraphs: [
      `${clinic} dejó información de salud para que usted la recoja.`,
      'Siga el enlace, escriba el código y responda a la pregunta acordada. No necesita tener una cuenta.',
    ],
    action: 'Recogerla',
  }),
  'held-message': (_, service) => ({
    subject: 'Un mensaje seguro le espera',
    paragraphs: [
      `Un proveedor de salud le envió un mensaje seguro a través de ${service}. Le espera hasta que lo recoja.`,
      'Siga el enlace y escriba el código.',
    ],
    action: 'Recogerlo',
  }),
  'new-message': (_, service) => ({
    subject: `Tiene un mensaje nuevo en ${service}`,
    paragraphs: ['Hay un nuevo mensaje seguro. Inicie sesión para leerlo.'],
    action: 'Leerlo',
  }),
  'access-granted': ({ app }) => ({
    subject: `${app} ya puede usar su expediente de salud`,
    paragraphs: [
      `Usted permitió que ${app} use su expediente de salud. Puede ver lo que hace, y terminarlo, cuando quiera.`,
    ],
    action: 'Ver quién tiene acceso',
  }),
  'access-removed': ({ app }) => ({
    subject: `${app} ya no puede usar su expediente de salud`,
    paragraphs: [`El acceso de ${app} a su expediente de salud ha terminado.`],
    action: 'Ver quién tiene acceso',
  }),
  'review-needed': () => ({
    subject: 'Hay información de salud nueva por revisar',
    paragraphs: ['Llegó información nueva para su expediente de salud. Una parte espera su decisión.'],
    action: 'Revisarla',
  }),
  'items-added': () => ({
    subject: 'Se añadió información de salud nueva',
    paragraphs: ['Se añadió información nueva a su expediente de salud, como usted eligió para este remitente.'],
    action: 'Ver lo añadido',
  }),
}
