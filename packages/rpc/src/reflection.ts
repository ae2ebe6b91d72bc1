import type { Server } from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';

/** Server reflection (v1 and v1alpha) from the descriptor set that `buf build` made. */
export const addReflection = (server: Server, descriptorBase64: string): void => {
  const definition = loadFileDescriptorSetFromBuffer(Buffer.from(descriptorBase64, 'base64'));
  new ReflectionService(definition).addToServer(server);
};
