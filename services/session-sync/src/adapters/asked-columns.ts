import { keyOf, type Needs } from '../domain/state.ts';

/** What the needs of a flush are made of, column by column. */
export const columnTypes = {
  space: 'uuid',
  memberSpace: 'uuid',
  memberUser: 'text',
  ownersSpace: 'uuid',
  messageSpace: 'uuid',
  messageUser: 'text',
  messageClient: 'text',
  conversationSpace: 'uuid',
  conversation: 'uuid',
  newestSpace: 'uuid',
  turnSpace: 'uuid',
  turn: 'uuid',
  documentSpace: 'uuid',
  documentCollection: 'text',
  document: 'text',
  seqSpace: 'uuid',
  seqUser: 'text',
  seqDevice: 'text',
  seq: 'bigint',
  deviceSpace: 'uuid',
  deviceUser: 'text',
  device: 'text',
  openSpace: 'uuid',
  conflictSpace: 'uuid',
  conflict: 'uuid',
  invitationSpace: 'uuid',
  invitation: 'uuid',
  invitedSpace: 'uuid',
  invited: 'text',
  invitedEmail: 'text',
  requestSpace: 'uuid',
  requestUser: 'text',
  requestMethod: 'text',
  requestKey: 'text',
  stepSpace: 'uuid',
  step: 'text',
  ledgerSpace: 'uuid',
} as const;

/** A column by its name in the statement. */
export type Column = keyof typeof columnTypes;
/** The values of every column; none where nothing asks for it. */
type Asked = Readonly<Record<Column, readonly unknown[]>>;

/** What the needs of spaces ask for. */
export const askedOf = (needs: ReadonlyMap<string, readonly Needs[]>): Asked => {
  const asked = Object.fromEntries(Object.keys(columnTypes).map((name) => [name, [] as unknown[]])) as Record<
    Column,
    unknown[]
  >;
  for (const [space, all] of needs) {
    asked.space.push(space);
    const documents = new Set<string>();
    for (const need of all) {
      for (const member of need.members ?? []) {
        asked.memberSpace.push(space);
        asked.memberUser.push(member);
      }
      if (need.clientMessage) {
        asked.messageSpace.push(space);
        asked.messageUser.push(need.clientMessage.userId);
        asked.messageClient.push(need.clientMessage.id);
      }
      if (need.conversation !== undefined) {
        asked.conversationSpace.push(space);
        asked.conversation.push(need.conversation);
      }
      if (need.turn !== undefined) {
        asked.turnSpace.push(space);
        asked.turn.push(need.turn);
      }
      for (const { collection, id } of need.documents ?? []) {
        const key = keyOf(collection, id);
        if (documents.has(key)) continue;
        documents.add(key);
        asked.documentSpace.push(space);
        asked.documentCollection.push(collection);
        asked.document.push(id);
      }
      for (const seq of need.seq?.seqs ?? []) {
        asked.seqSpace.push(space);
        asked.seqUser.push(need.seq?.userId);
        asked.seqDevice.push(need.seq?.device);
        asked.seq.push(seq);
      }
      if (need.device) {
        asked.deviceSpace.push(space);
        asked.deviceUser.push(need.device.userId);
        asked.device.push(need.device.id);
      }
      if (need.conflict !== undefined) {
        asked.conflictSpace.push(space);
        asked.conflict.push(need.conflict);
      }
      if (need.invitation !== undefined) {
        asked.invitationSpace.push(space);
        asked.invitation.push(need.invitation);
      }
      for (const { userId, email = '' } of need.invited ?? []) {
        asked.invitedSpace.push(space);
        asked.invited.push(userId);
        asked.invitedEmail.push(email);
      }
      if (need.request) {
        asked.requestSpace.push(space);
        asked.requestUser.push(need.request.userId);
        asked.requestMethod.push(need.request.method);
        asked.requestKey.push(need.request.key);
      }
      if (need.step !== undefined) {
        asked.stepSpace.push(space);
        asked.step.push(need.step);
      }
    }
    if (all.some(({ owners }) => owners)) asked.ownersSpace.push(space);
    if (all.some(({ newestConversation }) => newestConversation)) asked.newestSpace.push(space);
    if (all.some(({ openConflicts }) => openConflicts)) asked.openSpace.push(space);
    if (all.some(({ ledger }) => ledger)) asked.ledgerSpace.push(space);
  }
  return asked;
};
